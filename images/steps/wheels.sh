#!/bin/sh
# Build step of a fetch stage: the wheels that requirements.txt names, into /fetched/wheels.
set -eu
. /dev/shm/steps/lent.sh
/opt/python/bin/pip download --quiet --no-cache-dir --no-deps --only-binary :all: --disable-pip-version-check \
    --require-hashes --dest /fetched/wheels -r /mnt/requirements.txt
