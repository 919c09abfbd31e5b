#!/bin/sh
# Virtual host, users, permissions and policy of Thaw on a broker; idempotent. Wherever `rabbitmqctl` works:
#
#   THAW_PLANNER_PASSWORD=... THAW_WORKER_PASSWORD=... deploy/rabbitmq/setup.sh [VHOST]
#
# VHOST is `thaw` unless given. RABBITMQCTL: another command than `rabbitmqctl`, such as `rabbitmqctl -n rabbit@host`.
# A password that is not set leaves that user's as it is.
set -eu
vhost=${1:-thaw}
ctl=${RABBITMQCTL:-rabbitmqctl --quiet}

user() { # name password
    # Passwords go through stdin: arguments can be seen by everybody on the machine.
    if $ctl list_users --no-table-headers | cut -f 1 | grep -qx "$1"; then
        [ -z "$2" ] || printf '%s\n' "$2" | $ctl change_password "$1" >/dev/null
    elif [ -n "$2" ]; then
        printf '%s\n' "$2" | $ctl add_user "$1" >/dev/null
    else
        echo "user $1 does not exist: set its password in the environment" >&2
        exit 1
    fi
}

$ctl list_vhosts --no-table-headers name | grep -qx "$vhost" || $ctl add_vhost "$vhost" >/dev/null
user thaw_planner "${THAW_PLANNER_PASSWORD:-}"
user thaw_worker "${THAW_WORKER_PASSWORD:-}"

# configure, write, read. A publish to the default exchange is checked on amq.default alone. The worker declares the
# queues again when somebody has deleted them, copies what it cannot read to thaw.dead, and reads nothing but chunks.
$ctl set_permissions -p "$vhost" thaw_planner '^thaw\.' '^amq\.default$' '^$' >/dev/null
$ctl set_permissions -p "$vhost" thaw_worker '^thaw\.' '^amq\.default$' '^thaw\.chunks$' >/dev/null

# Thaw declares its queues with their type alone; everything else is the operator's. Hints are small and come again from
# the status tables: no delivery limit may drop one silently, no queue may grow without end.
$ctl set_policy -p "$vhost" --apply-to queues thaw-chunks '^thaw\.chunks$' \
    '{"max-length-bytes": 1073741824, "overflow": "reject-publish"}' >/dev/null
$ctl set_policy -p "$vhost" --apply-to queues thaw-dead '^thaw\.dead$' \
    '{"max-length-bytes": 104857600, "overflow": "drop-head"}' >/dev/null
echo "virtual host $vhost: thaw_planner and thaw_worker may work"
