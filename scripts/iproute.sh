#!/usr/bin/env bash
# Sees to it that `ip` is there, with which tests cut a network in two; without it they are skipped.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

if ! command -v ip >/dev/null; then
    debian_install "The tests of cut networks need ip" iproute2 || echo "Tests of cut networks will be skipped." >&2
fi
