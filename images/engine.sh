#!/usr/bin/env bash
# Makes sure a Docker engine answers and the base image can be built.
#   exit 0   an engine answers (it did already, or it was installed and started here)
#   exit 10  there is none, and this user cannot install one: what to do is printed
#   exit 1   installing or starting it failed: where to look is printed
# Only as root, and only on Debian or Ubuntu, is anything installed or started.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
log=/var/log/curation-dockerd.log
wait_seconds=${CURATION_ENGINE_WAIT:-60}

say() { printf 'engine: %s\n' "$*"; }
fail() { printf 'engine: %s\n' "$*" >&2; exit 1; }

# The distribution's own client first: a stray newer one may come without BuildKit.
client() {
    if [ -x /usr/bin/docker ]; then echo /usr/bin/docker; else command -v docker || true; fi
}

answers() {
    local docker
    docker=$(client)
    [ -n "$docker" ] && timeout 20 "$docker" version --format '{{.Server.Version}}' 2>/dev/null
}

can_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ -r /etc/os-release ] || return 1
    # shellcheck source=/dev/null
    (. /etc/os-release && case " $ID ${ID_LIKE:-} " in *" debian "* | *" ubuntu "*) true ;; *) false ;; esac)
}

# Installs the named packages; the ones after -- only where the distribution has them.
install_packages() {
    local wanted=() optional="" name
    say "apt-get install: $* (this changes the system)"
    apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
    for name in "$@"; do
        if [ "$name" = -- ]; then optional=yes; continue; fi
        if [ -n "$optional" ] && ! apt-cache show "$name" >/dev/null 2>&1; then continue; fi
        wanted+=("$name")
    done
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${wanted[@]}" \
        || fail "apt-get could not install: ${wanted[*]}. See its output above."
}

# mmdebstrap makes the base image where no container registry can be reached.
ensure_bootstrap_tools() {
    command -v mmdebstrap >/dev/null && return 0
    if can_install; then
        install_packages mmdebstrap debian-archive-keyring
    else
        say "mmdebstrap is not here: the base image will start from a container registry"
    fi
}

# With a newer Docker, BuildKit is a package of its own; its absence shows only at the first build.
ensure_buildkit() {
    local docker
    docker=$(client)
    case "$(timeout 20 "$docker" version --format '{{.Client.Version}}' 2>/dev/null)" in
        1?.* | 20.*) return 0 ;; # built in
    esac
    timeout 20 "$docker" buildx version >/dev/null 2>&1 && return 0
    if can_install; then
        install_packages -- docker-buildx
    else
        say "this docker has no buildx: install the package docker-buildx before building images"
    fi
}

wait_until_it_answers() {
    local start=$SECONDS
    until answers >/dev/null; do
        if [ -n "${1:-}" ] && ! kill -0 "$1" 2>/dev/null; then return 1; fi # dockerd ended
        [ $((SECONDS - start)) -lt "$wait_seconds" ] || return 1
        sleep 0.5
    done
}

# Is a dockerd of this machine running, whether or not it answers yet?
daemon_process() {
    local comm
    for comm in /proc/[0-9]*/comm; do
        if [ "$(cat "$comm" 2>/dev/null)" = dockerd ]; then
            basename "$(dirname "$comm")"
            return 0
        fi
    done
    return 1
}

start_by_hand() {
    local driver pid configuration=/etc/docker/daemon.json
    # The machine's own configuration goes first. Ours bounds the build cache: by itself that grows with every build.
    [ -e "$configuration" ] || configuration=$here/dockerd.json
    for driver in overlay2 vfs; do
        say "starting dockerd (storage: $driver, log: $log)"
        # Its own session: it must outlive this script and the terminal.
        setsid dockerd --config-file="$configuration" --storage-driver="$driver" >>"$log" 2>&1 </dev/null &
        pid=$!
        if wait_until_it_answers "$pid"; then return 0; fi
        if kill -0 "$pid" 2>/dev/null; then
            fail "dockerd (process $pid) runs but did not answer in ${wait_seconds}s. See $log."
        fi
    done
    tail -n 15 "$log" >&2 || true
    fail "dockerd does not start. Its last lines are above; all of them: $log"
}

start_engine() {
    local pid
    if pid=$(daemon_process); then
        # Two daemons in one network namespace break each other's bridge: wait, never add one.
        say "dockerd (process $pid) is running; waiting until it answers"
        wait_until_it_answers "$pid" || fail "it does not answer. See $log or its own log."
    elif [ -d /run/systemd/system ]; then
        say "systemctl start docker"
        systemctl start docker || fail "see: journalctl -u docker"
        wait_until_it_answers "" || fail "docker does not answer. See: journalctl -u docker"
    elif [ "$(cat /proc/1/comm)" = init ] && command -v service >/dev/null; then
        say "service docker start"
        service docker start || fail "see /var/log/docker.log"
        wait_until_it_answers "" || fail "docker does not answer. See /var/log/docker.log"
    else
        start_by_hand
    fi
}

main() {
    local version
    if version=$(answers); then
        say "a Docker engine answers (version $version)"
        ensure_bootstrap_tools
        ensure_buildkit
        return 0
    fi
    if ! can_install; then
        cat >&2 <<'TEXT'
engine: no Docker engine answers, and this user cannot set one up. One of:
  - Docker is installed but not running:   sudo systemctl start docker
  - it runs, but you may not use it:       sudo usermod -aG docker "$USER"   (then log in again)
  - it is elsewhere:                       export DOCKER_HOST=...
  - it is not installed (Debian, Ubuntu):  sudo apt-get install docker.io mmdebstrap debian-archive-keyring
  - or let this script do it all as root:  sudo images/engine.sh
TEXT
        exit 10
    fi
    if [ -n "${DOCKER_HOST:-}" ]; then
        fail "DOCKER_HOST=$DOCKER_HOST does not answer. Start that engine, or unset DOCKER_HOST."
    fi
    say "no Docker engine answers; this is root, so one is set up"
    if ! command -v dockerd >/dev/null || [ -z "$(client)" ]; then
        # docker-cli and docker-buildx: part of docker.io in older releases, packages of their own now.
        install_packages docker.io mmdebstrap debian-archive-keyring iptables -- docker-cli docker-buildx
    fi
    ensure_bootstrap_tools
    start_engine
    version=$(answers) || fail "the engine started but stopped answering. See $log."
    say "a Docker engine answers (version $version)"
    ensure_buildkit
}

main "$@"
