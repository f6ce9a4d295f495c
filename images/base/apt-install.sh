#!/bin/sh
# Installs the Debian packages named as arguments; does nothing, and needs no network, when all of them are there.
# Secrets, both optional: `mirror` (URL of a Debian mirror) and `ca` (PEM bundle for an https mirror).
set -eu

missing=""
for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

# APT::Sandbox::User=root: the secrets are readable by root only.
set -- -o APT::Sandbox::User=root -o Acquire::Retries=3 -o Acquire::Check-Valid-Until=false
sources=/tmp/curation-sources.list
if [ -s /run/secrets/mirror ]; then
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    echo "deb $(cat /run/secrets/mirror) $codename main" > "$sources"
    set -- "$@" -o "Dir::Etc::SourceList=$sources" -o Dir::Etc::SourceParts=/dev/null
fi
if [ -s /run/secrets/ca ]; then
    set -- "$@" -o Acquire::https::CaInfo=/run/secrets/ca
fi
trap 'rm -rf "$sources" /var/lib/apt/lists/* /var/cache/apt/archives/*.deb' EXIT
apt-get "$@" update
# shellcheck disable=SC2086  # a list of words on purpose
DEBIAN_FRONTEND=noninteractive apt-get "$@" install --yes --no-install-recommends $missing
