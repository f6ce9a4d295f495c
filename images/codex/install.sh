#!/bin/sh
# Build step: Codex's static programs, in their own layout, which they look for each other in.
set -eu
case $(uname -m) in x86_64) cpu=x64 ;; aarch64) cpu=arm64 ;; *) echo "no Codex for $(uname -m)" >&2; exit 1 ;; esac
mkdir /opt/codex
cp -R "/dev/shm/fetched/node_modules/@openai/codex-linux-$cpu/vendor/$(uname -m)-unknown-linux-musl/." /opt/codex
rm -rf /opt/codex/codex-resources/voice # libraries for a microphone
chmod -R u=rwX,go=rX /opt/codex
ln -s /opt/codex/bin/codex /usr/local/bin/codex
sh /dev/shm/steps/try.sh codex --version
