"""The platform's services as processes: what is run, with which environment."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trunkline.contracts.errors import InvalidSettings
from trunkline.host.environment import Told, file_list, with_keys, without_keys


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """A process to keep running. `service` is what answers for its health, `log` the name of its log file."""

    service: str
    log: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


def whole_platform(told: Told, files: tuple[Path, ...]) -> tuple[ProcessPlan, ...]:
    """Every service once; `files` are hosted by agents and tools. Raises InvalidSettings for one not installed."""
    agents = file_list("TRUNKLINE_AGENT_FILES", files)
    tools = file_list("TRUNKLINE_TOOL_FILES", files)
    return (
        _plan("router", told, without_keys()),
        _plan("agents", told, with_keys() | agents),
        _plan("tools", told, without_keys() | tools),
        _plan("ledger", told, without_keys()),
    )


def agents_of(told: Told, file: Path) -> ProcessPlan:
    """The agents of one file, and nothing else."""
    return _plan("agents", told, with_keys(), file)


def tools_of(told: Told, file: Path) -> ProcessPlan:
    """The tools of one file, and nothing else."""
    return _plan("tools", told, without_keys(), file)


def _plan(service: str, told: Told, environment: dict[str, str], file: Path | None = None) -> ProcessPlan:
    module = f"trunkline_{service}"
    if importlib.util.find_spec(module) is None or importlib.util.find_spec(f"{module}.__main__") is None:
        raise InvalidSettings(
            f"The service {service} is not installed.",
            f"Install the package trunkline-{service}, or all of them: `trunkline[platform]`.",
        )
    command = (sys.executable, "-m", module, *([str(file.absolute())] if file else []))
    log = f"{service}-{file.stem}" if file else service
    return ProcessPlan(service, log, command, environment | told.variables())
