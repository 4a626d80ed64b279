#!/usr/bin/env bash
# Sees to it that libfaketime is there; with it, the chaos tests set the clock of single processes wrong.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

if ! compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null; then
    debian_install "The chaos tests leave out wrong clocks without libfaketime" libfaketime || true
fi
