#!/bin/sh
# Build step: the Debian packages of packages.txt that the base image does not bring.
set -eu
touch /dev/shm/begin
missing=
while read -r name; do
    case $name in '' | \#*) continue ;; esac
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing="$missing $name"
done </mnt/packages.txt
[ -n "$missing" ] || exit 0

export DEBIAN_FRONTEND=noninteractive
if [ -s /run/secrets/aptconf ]; then export APT_CONFIG=/run/secrets/aptconf; fi
set -- -o APT::Install-Recommends=false -o Dir::Etc::sourceparts=/etc/apt/sources.list.d
if [ -s /run/secrets/sources ]; then
    set -- "$@" -o Dir::Etc::sourcelist=/run/secrets/sources -o Dir::Etc::sourceparts=-
fi
if [ -s /run/secrets/ca ]; then set -- "$@" -o Acquire::https::CAInfo=/run/secrets/ca; fi
apt-get "$@" update -qq
# shellcheck disable=SC2086 # a list of words is meant
apt-get "$@" install -y -qq $missing >/dev/null
apt-get clean
# Lists, logs and caches carry the time of day.
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/ldconfig/* /var/log/apt /var/log/*.log \
    /var/cache/debconf/*-old /var/lib/dpkg/*-old /etc/*-
