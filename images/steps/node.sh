#!/bin/sh
# Build step of a fetch stage: Node.js with npm at /opt/node, pinned like every Python package.
set -eu
. /dev/shm/steps/lent.sh
/opt/python/bin/pip install --quiet --no-cache-dir --no-compile --no-deps --only-binary :all: \
    --disable-pip-version-check --require-hashes --target /opt/node -r /dev/shm/steps/node.txt
