#!/usr/bin/env bash
# Sees to it that PostgreSQL's programs are there; the tests start a server of their own from them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

if ! command -v postgres >/dev/null && ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then
    debian_install "The ledger's tests need PostgreSQL" postgresql
fi
