#!/bin/sh
# Runs a program of the image as the agent would, to see that it works; what it writes to its home is forgotten.
set -eu
mkdir /dev/shm/home
chown 1000:1000 /dev/shm/home
HOME=/dev/shm/home setpriv --reuid=1000 --regid=1000 --clear-groups "$@"
rm -rf /dev/shm/home
