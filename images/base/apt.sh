#!/bin/sh
# Build step: the Debian packages of packages.txt that the base image does not bring.
set -eu
missing=
while read -r name; do
    case $name in '' | \#*) continue ;; esac
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing="$missing $name"
done </mnt/packages.txt
[ -n "$missing" ] || exit 0

export DEBIAN_FRONTEND=noninteractive
if [ -s /dev/shm/aptconf ]; then export APT_CONFIG=/dev/shm/aptconf; fi
# User=root: apt's own user could not read the secrets.
set -- -o APT::Install-Recommends=false -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false
# The sources are for one release; an image of another one keeps its own.
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
if [ -s /dev/shm/sources ] && grep -q " $release main" /dev/shm/sources; then
    set -- "$@" -o Dir::Etc::sourcelist=/dev/shm/sources -o Dir::Etc::sourceparts=-
fi
if [ -s /dev/shm/ca ]; then set -- "$@" -o Acquire::https::CAInfo=/dev/shm/ca; fi
apt-get "$@" update -qq
# shellcheck disable=SC2086 # a list of words is meant
apt-get "$@" install -y -qq $missing >/dev/null
apt-get clean
# Lists, logs and caches carry the time of day. What the base image may have brought is emptied and not removed,
# because the mark of a removal carries it too.
find /var/lib/apt/lists -type f ! -name lock -delete
find /etc /var/lib/dpkg /var/cache /var/log -type f '(' -path '/etc/*-' -o -path '/var/log/*' -o -path '*-old' \
    -o -path '/var/cache/apt/*.bin' -o -path '/var/cache/ldconfig/*' ')' -exec truncate --size 0 {} +
