"""`trunkline cancel`: stop a run."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.bus import Bus
    from trunkline.contracts.messages import Answer
    from trunkline.contracts.subjects import RunKey

WAIT_SECONDS = 10.0
LOOK_SECONDS = 0.1


def cancel(
    run: Annotated[str, typer.Argument(help="The run's id, or its beginning.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; whoever asked is told.")] = "",
    user: Annotated[str, typer.Option("--user", "-u", help="Who stops it.")] = "",
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Stop a run, and the runs that it asked for.

    What is under way is broken off; what was done stays done. The exit code is 2 when the run had ended before.
    """
    from trunkline.cli.console import err, out, print_json, say, text
    from trunkline.cli.session import run as settled
    from trunkline.contracts.ids import checked_token

    key, answer = settled(_cancelled(url, checked_token(run, "run"), reason, user))
    if as_json:
        code = answer.error.code if answer and answer.error else None
        print_json({"run": key.run, "conversation": key.conversation, "ended": answer is not None, "code": code})
    elif answer is None:
        say(out(), text(f"Run {key.run} is to stop."))
        say(err(), text(("Nobody has ended it yet: is a router running? `trunkline status` shows it.", "hint")))
    elif answer.error:
        say(out(), text(f"Run {key.run} is stopped."))
    else:
        say(out(), text(f"Run {key.run} was answered in that moment: trunkline show {key.run}"))


async def _cancelled(url: str, run: str, reason: str, user: str) -> tuple[RunKey, Answer | None]:
    """The run, and how it ended; None when it has not ended within some seconds."""
    from trunkline.cli.log_reading import FULL_ID
    from trunkline.cli.session import on_trunkline
    from trunkline.cli.settings import CliSettings
    from trunkline.client import Client
    from trunkline.client.query import query

    settings = CliSettings.load()
    async with on_trunkline(url) as bus:
        if len(run) < FULL_ID:
            run = (await query(bus, "ledger", "run", run=run))["summary"]["run"]
        key = await Client(bus, user=user or settings.user, tenant=settings.tenant).cancel(run, reason=reason)
        return key, await _answer(bus, key)


async def _answer(bus: Bus, key: RunKey) -> Answer | None:
    from trunkline.bus import fold
    from trunkline.contracts.messages import Answer

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                for event in await fold(bus, key.everything):
                    if isinstance(event.fact, Answer):
                        return event.fact
                await asyncio.sleep(LOOK_SECONDS)
    return None
