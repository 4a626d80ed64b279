"""`python -m trunkline_agents [FILE ...]`"""

import sys
from pathlib import Path

import structlog

from trunkline.contracts.errors import TrunklineError
from trunkline.service import serve
from trunkline.service.logs import configure_logs
from trunkline.service.starting import from_environment
from trunkline_agents.app import agents_service
from trunkline_agents.settings import AgentsSettings


def main() -> None:
    settings = from_environment(AgentsSettings, "agents")
    files = [Path(argument) for argument in sys.argv[1:]]
    if files:
        settings = settings.model_copy(update={"agent_files": files, "generalist": False})
    configure_logs("agents", format=settings.log_format, level=settings.log_level)
    try:
        service = agents_service(settings)
    except TrunklineError as error:
        structlog.get_logger("trunkline.agents").error(error.what, action="cannot_start", hint=error.hint)
        sys.exit(2)
    serve(service)


if __name__ == "__main__":
    main()
