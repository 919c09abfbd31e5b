#!/usr/bin/env bash
# Checks what deploy/ describes with whatever tools are there, and says which are not (deploy/lint-tools.sh installs
# them). Starts nothing, needs no network. Part of `make lint`.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(realpath -m "${THAW_LINT_TOOLS:-target/lint-tools}")
PATH=$tools/bin:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
skip() { echo "$1 is not installed: $2 not checked"; }
have() { command -v "$1" >/dev/null 2>&1; }

for script in $(git ls-files '*.sh' .ci deploy | xargs grep -lE '^#!/(usr/bin/env bash|bin/bash|bin/sh)'); do
    bash -n "$script"
done

# ---- compose: both generations read the file, with and without the demo; a value that is missing is named ------------
sed 's/^\([A-Z_]*PASSWORD\)=$/\1=x/' .env.example >"$work/env"
compose() { # command...
    for profile in '' demo; do
        COMPOSE_PROFILES=$profile "$@" --env-file "$work/env" -f docker-compose.yml config --quiet
    done
    if "$@" --env-file .env.example -f docker-compose.yml config --quiet >"$work/said" 2>&1 ||
        ! grep -q 'see .env.example' "$work/said"; then
        echo "$*: a missing password is not named" >&2
        exit 1
    fi
}
if docker compose version >/dev/null 2>&1; then compose docker compose; else skip "docker compose (v2)" docker-compose.yml; fi
if have docker-compose; then compose docker-compose; else skip docker-compose "docker-compose.yml with v1.29"; fi

# ---- systemd: verified as they are, but for programs that need not be installed here ---------------------------------
if have systemd-analyze; then
    mkdir "$work/units"
    for unit in deploy/systemd/*.*; do
        sed 's|^ExecStart=/usr/local/bin/[a-z]*|ExecStart=/bin/true|; s|^Documentation=.*||' "$unit" >"$work/units/$(basename "$unit")"
    done
    (cd "$work/units" && systemd-analyze verify ./*.service ./*.timer) >"$work/said" 2>&1 || { cat "$work/said" >&2; exit 1; }
    [ ! -s "$work/said" ] || { cat "$work/said" >&2; exit 1; }
else
    skip systemd-analyze deploy/systemd
fi

# ---- kubernetes: built, and valid by the schemas of the API; KEDA's by its own ------------------------------------
if have kustomize; then
    for folder in base keda run; do kustomize build "deploy/k8s/$folder" >"$work/$folder.yaml"; done
elif have kubectl && kubectl kustomize --help >/dev/null 2>&1; then
    for folder in base keda run; do kubectl kustomize "deploy/k8s/$folder" >"$work/$folder.yaml"; done
else
    skip kustomize "that deploy/k8s can be built"
    cat deploy/k8s/base/worker.yaml <(echo ---) deploy/k8s/base/planner.yaml >"$work/base.yaml"
    cp deploy/k8s/run/job.yaml "$work/run.yaml"
    cp deploy/k8s/keda/scaledobject.yaml "$work/keda.yaml"
fi
if have kubernetes-validate; then
    kubernetes-validate --strict --quiet "$work/base.yaml" "$work/run.yaml" >"$work/said" 2>&1 || { cat "$work/said" >&2; exit 1; }
    ! grep -qE 'ERROR|WARN' "$work/said" || { cat "$work/said" >&2; exit 1; }
else
    skip kubernetes-validate "the manifests of deploy/k8s"
fi
if [ -d "$tools/node_modules/@kubernetes-models/keda" ] && have node && [ -x "$tools/bin/python" ]; then
    "$tools/bin/python" -c '
import json, sys, yaml
print(json.dumps([d for d in yaml.safe_load_all(open(sys.argv[1])) if d["apiVersion"].startswith("keda.sh/")]))' \
        "$work/keda.yaml" >"$work/keda.json"
    NODE_PATH=$tools/node_modules node -e '
const keda = require("@kubernetes-models/keda/keda.sh/v1alpha1");
const found = require(process.argv[1]);
if (found.length !== 2) throw new Error(`${found.length} resources of KEDA`);
for (const each of found) new keda[each.kind](each).validate();' "$work/keda.json"
else
    skip "@kubernetes-models/keda" "the manifests of KEDA"
fi
