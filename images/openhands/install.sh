#!/bin/sh
# Build step: the OpenHands SDK in an environment of its own at /opt/openhands, so that what a policy imports in
# /opt/python stays the same in every image.
set -eu
python3 -m venv --without-pip /opt/openhands
/opt/python/bin/pip --python /opt/openhands/bin/python install --quiet --no-cache-dir --no-compile --no-deps \
    --disable-pip-version-check --require-hashes --no-index --find-links /dev/shm/fetched/wheels \
    -r /mnt/requirements.txt
# As in the base image: no step of a run can write bytecode, and one process makes it the same each time.
find /opt/openhands -name __pycache__ -prune -exec rm -rf {} +
PYTHONHASHSEED=0 /opt/openhands/bin/python -m compileall -q -j 1 --invalidation-mode unchecked-hash /opt/openhands/lib
LITELLM_LOCAL_MODEL_COST_MAP=True sh /dev/shm/steps/try.sh /opt/openhands/bin/python -c \
    'import openhands.sdk, openhands.tools, importlib.metadata as m; print(m.version("openhands-sdk"))'
rm -rf /root/.cache /tmp/*
