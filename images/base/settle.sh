#!/bin/sh
# Ends a build step: whatever the step touched gets one fixed time, so that the same content is the same layer.
set -eu
find / -xdev -newer /dev/shm/begin ! -path '/proc/*' ! -path '/sys/*' ! -path '/mnt*' \
    -exec touch -h -d "@${SOURCE_DATE_EPOCH:?}" {} +
