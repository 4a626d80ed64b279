"""`python -m trunkline_tools [FILE ...]`"""

import sys
from pathlib import Path

from trunkline.service import serve
from trunkline.service.starting import from_environment
from trunkline_tools.app import tools_service
from trunkline_tools.sandbox import lockdown
from trunkline_tools.service_settings import ToolsSettings


def main() -> None:
    lockdown.hide_memory()  # it holds credentials, and tools run under the same user
    settings = from_environment(ToolsSettings, "tools")
    files = [Path(argument) for argument in sys.argv[1:]]
    if files:
        settings = settings.model_copy(update={"tool_files": files, "timers": False, "mcp": False, "builtin": False})
    serve(tools_service(settings))


if __name__ == "__main__":
    main()
