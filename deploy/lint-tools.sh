#!/usr/bin/env bash
# Installs what deploy/lint.sh uses, from the package registries of this machine, into target/lint-tools where it can.
# What cannot be had is left out: the lint says so.
set -uo pipefail
cd "$(dirname "$0")/.."
tools=$(realpath -m "${THAW_LINT_TOOLS:-target/lint-tools}")
mkdir -p "$tools"
without() { echo "not installed: $1" >&2; }

packages=()
command -v systemd-analyze >/dev/null || packages+=(systemd)
command -v docker-compose >/dev/null || packages+=(docker-compose)
command -v kustomize >/dev/null || packages+=(kustomize)
if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
    # One by one: Debian 12 has no kustomize, later releases have no Compose v1.
    for package in "${packages[@]}"; do
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$package" >/dev/null 2>&1 || without "$package"
    done
fi

if [ ! -x "$tools/bin/kubernetes-validate" ]; then
    { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet kubernetes-validate; } >/dev/null 2>&1 ||
        without kubernetes-validate
fi
if [ ! -d "$tools/node_modules/@kubernetes-models/keda" ] && command -v npm >/dev/null; then
    npm install --silent --no-save --prefix "$tools" @kubernetes-models/keda >/dev/null 2>&1 || without @kubernetes-models/keda
fi
exit 0
