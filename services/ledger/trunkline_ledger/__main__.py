"""`python -m trunkline_ledger`: the service. `… rebuild`: read the log again and compare or replace the tables."""

import sys

from trunkline.service import ServiceSettings, serve
from trunkline.service.starting import from_environment
from trunkline_ledger.app import ledger_service
from trunkline_ledger.commands import rebuild_command
from trunkline_ledger.settings import Settings


def main() -> None:
    match sys.argv[1:]:
        case []:
            serve(ledger_service(from_environment(ServiceSettings, "ledger"), from_environment(Settings, "ledger")))
        case ["rebuild", *options]:
            sys.exit(rebuild_command(ServiceSettings(), Settings(), options))
        case other:
            sys.exit(f"unknown: {' '.join(other)}. There is: rebuild [--check] [--json]")


if __name__ == "__main__":
    main()
