#!/usr/bin/env bash
# Sees to it that a Redis or Valkey server's program is there; the tests of the cache start a server of their own from it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

if ! command -v valkey-server >/dev/null && ! command -v redis-server >/dev/null; then
    debian_install "The cache's tests on Redis are left out without redis-server" redis-server || true
fi
