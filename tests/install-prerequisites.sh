#!/usr/bin/env bash
# Makes sure that PostgreSQL's server programs and RabbitMQ are installed, for the tests and the demo, which start
# private ones. No server of the system is started. Debian and Ubuntu; elsewhere it says what to install.
set -euo pipefail

have_postgres() {
    command -v initdb >/dev/null && return
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
    command -v pg_config >/dev/null && [ -x "$(pg_config --bindir)/initdb" ]
}

have_rabbitmq() {
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || command -v rabbitmq-server >/dev/null
}

missing=()
have_postgres || missing+=(postgresql)
have_rabbitmq || missing+=(rabbitmq-server)
# Ends servers when the test run that started them is killed.
command -v setpriv >/dev/null || missing+=(util-linux)
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "missing: ${missing[*]}. Install PostgreSQL 14 or later (server programs) and RabbitMQ 3.10 or later," >&2
    echo "for example as root: apt-get install ${missing[*]}" >&2
    exit 1
fi

echo "installing ${missing[*]}" >&2
# policy-rc.d with 101 is Debian's way to install a server without starting it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
# Nor is a cluster made that nobody asked for.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
install() { apt-get install --yes --no-install-recommends "${missing[@]}"; }
# The package lists of a fresh machine may be absent or old.
if ! install >"$log" 2>&1 && ! { apt-get update && install; } >>"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "apt-get could not install ${missing[*]}" >&2
    exit 1
fi
rm -f "$log"
