"""`rebuild` at the terminal."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import orjson

from trunkline.bus import Bus
from trunkline.contracts.errors import CallerMistake, TrunklineError
from trunkline.prices import PriceBook
from trunkline.service import ServiceSettings
from trunkline_ledger.app import the_log
from trunkline_ledger.rebuild import Progress, compare, rebuild, replace
from trunkline_ledger.settings import Settings
from trunkline_ledger.store import sqlite_file

PROGRESS_EVERY = 2000


def rebuild_command(settings: ServiceSettings, own: Settings, options: Sequence[str]) -> int:
    """Exit code: 0 rebuilt or equal, 1 different, 2 a mistake in how it was asked."""
    as_json = "--json" in options
    try:
        done = asyncio.run(_rebuild(settings, own.located(settings.data), check="--check" in options))
    except TrunklineError as error:
        _say(as_json, {"error": {"code": error.code, "message": error.what, "hint": error.hint}}, str(error))
        return 2 if isinstance(error, CallerMistake) else 1
    same = not done.get("differing")
    _say(as_json, done, _sentence(done))
    return 0 if same else 1


async def _rebuild(settings: ServiceSettings, own: Settings, *, check: bool) -> dict[str, object]:
    file = sqlite_file(own.url)
    prices = PriceBook.load(settings.config)
    async with Bus.open(settings.nats_url, name="trunkline-ledger-rebuild") as bus:
        log = await the_log(bus)
        if not check and file is not None:
            sequence = await replace(file, log, prices, progress=_progress())
            return {"rebuilt": str(file), "sequence": sequence}
        folder = Path(tempfile.mkdtemp(prefix="trunkline-ledger-"))
        try:
            fresh = f"sqlite+aiosqlite:///{folder / 'fresh.db'}"
            sequence = await rebuild(fresh, log, prices, progress=_progress())
            found = await compare(own.url, fresh)
            return {"compared": own.url, "sequence": sequence, "differing": list(found.differing)}
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _progress() -> Progress:
    shown = 0

    def tell(reached: int, last: int) -> None:
        nonlocal shown
        if reached - shown >= PROGRESS_EVERY or reached == last:
            shown = reached
            sys.stderr.write(f"read {reached:,} of {last:,} events\n")

    return tell


def _sentence(done: dict[str, object]) -> str:
    if "rebuilt" in done:
        return f"Rebuilt {done['rebuilt']} up to event {done['sequence']}."
    if done["differing"]:
        return f"Not the same: {done['differing']}. `trunkline ledger rebuild` puts the log's rows in their place."
    return f"The same rows and the same cents, up to event {done['sequence']}."


def _say(as_json: bool, document: dict[str, object], sentence: str) -> None:  # an option's value
    sys.stdout.write(f"{orjson.dumps(document).decode()}\n" if as_json else f"{sentence}\n")
