#!/bin/sh
# Build step: the locked Python packages, in a virtual environment at /opt/python that is first in PATH.
set -eu
. /dev/shm/steps/lent.sh
python3 -m venv /opt/python
/opt/python/bin/pip install --quiet --no-cache-dir --no-compile --no-deps --only-binary :all: \
    --disable-pip-version-check --require-hashes -r /mnt/requirements.txt
site=$(/opt/python/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# A program that sets its own PATH gets Debian's python3: it shall find the same packages.
system=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$system"
echo "$site" >"$system/curation.pth"
ln -s /opt/python/bin/python /usr/local/bin/python
# Tests of libraries: a fifth of the size, used by nobody here.
rm -rf "$site/pandas/tests" "$site/pyarrow/tests"
find "$site/sklearn" "$site/scipy" -type d -name tests -prune -exec rm -rf {} +
# The root file system is read-only at run time, so bytecode is made now; by hash, since a time stamp inside
# would differ between builds; by one process, since which of several compiles what shows in the result.
find /opt/python -name __pycache__ -prune -exec rm -rf {} +
PYTHONHASHSEED=0 /opt/python/bin/python -m compileall -q -j 1 --invalidation-mode unchecked-hash "$site"
rm -rf /root/.cache /tmp/*
