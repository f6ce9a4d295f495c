#!/bin/sh
# Build step: Claude Code's native program, which needs no Node.js. npm's package only picks the one that suits the
# machine, and a script of it would link it into place; this does both.
set -eu
case $(uname -m) in x86_64) cpu=x64 ;; aarch64) cpu=arm64 ;; *) echo "no Claude Code for $(uname -m)" >&2; exit 1 ;; esac
install -m 0755 "/dev/shm/fetched/node_modules/@anthropic-ai/claude-code-linux-$cpu/claude" /usr/local/bin/claude
sh /dev/shm/steps/try.sh claude --version
