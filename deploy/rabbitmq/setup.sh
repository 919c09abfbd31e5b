#!/bin/sh
# Virtual host, users, permissions and policies of Thaw on a broker; idempotent. Wherever `rabbitmqctl` works:
#
#   THAW_PLANNER_PASSWORD=... THAW_WORKER_PASSWORD=... deploy/rabbitmq/setup.sh [VHOST]
#
# THAW_MONITOR_PASSWORD, where it is set, also makes thaw_monitor, which reads counts over HTTP (for KEDA). VHOST is
# `thaw` unless given. RABBITMQCTL: another command than `rabbitmqctl`, such as `rabbitmqctl -n rabbit@host`. A password
# that is not set leaves that user as it is.
set -eu
vhost=${1:-thaw}
ctl=${RABBITMQCTL:-rabbitmqctl --quiet}

# Everything in one file that only we can read: arguments can be seen by everybody on the machine.
umask 077
definitions=$(mktemp)
trap 'rm -f "$definitions"' EXIT
trap 'exit 1' INT TERM

text() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"; }
user() { # name password tags
    [ -z "$2" ] || printf '%s{"name": "%s", "password": %s, "tags": "%s"}' "$separator" "$1" "$(text "$2")" "${3:-}"
    [ -z "$2" ] || separator=', '
}
separator=''
vhost=$(text "$vhost")

# Permissions: a publish to the default exchange is checked on amq.default alone. The worker declares the queues again
# when somebody has deleted them, copies what it cannot read to thaw.dead, and reads nothing but chunks.
#
# Policies: Thaw declares its queues with their type alone; everything else is the operator's. Hints are small and come
# again from the status tables, so a queue without a reader need not grow for ever.
{
    printf '{"vhosts": [{"name": %s}], "users": [' "$vhost"
    user thaw_planner "${THAW_PLANNER_PASSWORD:-}"
    user thaw_worker "${THAW_WORKER_PASSWORD:-}"
    user thaw_monitor "${THAW_MONITOR_PASSWORD:-}" monitoring
    printf '], "permissions": [\n'
    [ -z "${THAW_MONITOR_PASSWORD:-}" ] ||
        printf '  {"user": "thaw_monitor", "vhost": %s, "configure": "^$", "write": "^$", "read": "^$"},\n' "$vhost"
    cat <<END
  {"user": "thaw_planner", "vhost": $vhost,
   "configure": "^thaw\\\\.", "write": "^amq\\\\.default$", "read": "^$"},
  {"user": "thaw_worker", "vhost": $vhost,
   "configure": "^thaw\\\\.", "write": "^amq\\\\.default$", "read": "^thaw\\\\.chunks$"}
], "policies": [
  {"vhost": $vhost, "name": "thaw-chunks", "pattern": "^thaw\\\\.chunks$", "apply-to": "queues", "priority": 0,
   "definition": {"max-length-bytes": 1073741824, "overflow": "reject-publish"}},
  {"vhost": $vhost, "name": "thaw-dead", "pattern": "^thaw\\\\.dead$", "apply-to": "queues", "priority": 0,
   "definition": {"max-length-bytes": 104857600, "overflow": "drop-head"}}
]}
END
} >"$definitions"
$ctl import_definitions "$definitions" >/dev/null
echo "virtual host $vhost: thaw_planner and thaw_worker may work"
