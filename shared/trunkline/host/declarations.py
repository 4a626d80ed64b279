"""What files declare, found out before anything of the platform starts, in a process that has nothing to lose."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from trunkline.contracts.codec import decode
from trunkline.contracts.errors import BrokenFile, WireViolation
from trunkline.contracts.messages import Failure
from trunkline.host.environment import without_keys
from trunkline.host.parent_death import die_with_parent

IMPORT_SECONDS = 30.0


class AgentDeclared(msgspec.Struct, frozen=True):
    name: str
    description: str = ""
    examples: tuple[str, ...] = ()


class Declared(msgspec.Struct, frozen=True):
    """One file: its agents, and the names of its tools."""

    path: str
    agents: tuple[AgentDeclared, ...] = ()
    tools: tuple[str, ...] = ()


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The report of `trunkline.host.declaring`."""

    files: tuple[Declared, ...] = ()
    error: Failure | None = None


async def declarations(files: Sequence[Path]) -> tuple[Declared, ...]:
    """In the order of `files`. Raises BrokenFile, also for a name that two files give."""
    if not files:
        return ()
    said = await _ask([str(file) for file in files])
    if said.error:
        raise BrokenFile(said.error.message, said.error.hint)
    _check_names("agents", [agent.name for file in said.files for agent in file.agents])
    _check_names("tools", [tool for file in said.files for tool in file.tools])
    return said.files


async def _ask(files: list[str]) -> Said:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "trunkline.host.declaring", *files),
        env=without_keys(),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        preexec_fn=die_with_parent(),
    )
    try:
        async with asyncio.timeout(IMPORT_SECONDS):
            report, words = await process.communicate()
    except TimeoutError:
        raise BrokenFile(
            f"Importing {' '.join(files)} took longer than {IMPORT_SECONDS:g} s.",
            "Keep slow work out of the module's top level.",
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return decode(report, Said)
    except WireViolation:
        raise BrokenFile(
            f"The process that imported {' '.join(files)} ended with exit code {process.returncode}.",
            words.decode(errors="replace").strip()[-500:],
        ) from None


def _check_names(what: str, names: list[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise BrokenFile(f"Two {what} are named {', '.join(twice)}.", "Give each its own name.")
