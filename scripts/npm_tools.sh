#!/usr/bin/env bash
# Installs the servers that the tests talk to and that only npm has: a model API double and an MCP server.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../tests/npm"
source ../../scripts/debian.sh

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    debian_install "The tests need Node.js and npm" nodejs npm
fi
if ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'; then
    echo "The tests need Node.js 20 or newer; $(command -v node) is $(node --version)." >&2
    exit 1
fi
echo "Installing the tests' npm packages"
npm ci --silent
