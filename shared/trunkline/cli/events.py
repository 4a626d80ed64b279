"""`trunkline events`: the log itself, event by event."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trunkline.bus import Bus, StoredMessage
    from trunkline.cli.log_reading import Wanted

WIDE = 110


class Output(StrEnum):
    table = "table"
    jsonl = "jsonl"


def events(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as events come, until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option(metavar="TIME", help="From then on: 10m (ago), or ISO 8601.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Only before then.")] = "",
    kind: Annotated[str, typer.Option(help="Only this kind: request, task, model, call, result, answer …")] = "",
    agent: Annotated[str, typer.Option("--agent", "-a", help="Only runs of this agent.")] = "",
    run: Annotated[str, typer.Option(help="Only this run; the beginning of its id will do.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="The newest so many; 0 for all of them.")] = 50,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="jsonl: a line of JSON each, complete, for `events import`.")
    ] = Output.table,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """The log, event by event, as it stands or as it comes.

    Read straight from the bus; the ledger need not run. `--output jsonl --limit 0` takes all of it along.
    """
    from trunkline.cli.events_export import export
    from trunkline.cli.session import run as settled

    if context.invoked_subcommand:
        return
    wanted = _wanted(since, until, kind, agent, run)
    if output is Output.jsonl:
        settled(export(url, wanted, limit, follow=follow))
    else:
        settled(_read(url, wanted, limit, follow=follow, as_json=as_json))


def _wanted(since: str, until: str, kind: str, agent: str, run: str) -> Wanted:
    from trunkline.cli.log_reading import Wanted
    from trunkline.cli.moments import moment
    from trunkline.contracts.errors import InvalidArguments
    from trunkline.contracts.ids import checked_token
    from trunkline.contracts.subjects import KINDS

    if kind and kind not in KINDS:
        raise InvalidArguments(f"There is no kind {kind[:40]!r}.", f"Kinds: {', '.join(sorted(KINDS))}.")
    for value, what in ((agent, "agent"), (run, "run")):
        if value:
            checked_token(value, what)
    return Wanted(moment(since, "--since"), moment(until, "--until"), kind, agent, run)


async def _read(url: str, wanted: Wanted, limit: int, *, follow: bool, as_json: bool) -> None:
    from trunkline.cli.log_reading import LogReader
    from trunkline.cli.session import on_trunkline

    async with on_trunkline(url) as bus:
        reader = LogReader(bus, wanted)
        if as_json and not follow:
            await _print_array(bus, reader.stored(limit))
            return
        found = False
        async for message in reader.stored(limit):
            await _print(bus, message, as_json=as_json)
            found = True
        if follow:
            async for message in reader.coming():
                await _print(bus, message, as_json=as_json)
        elif not found:
            _say_nothing_found()


async def _print_array(bus: Bus, messages: AsyncIterator[StoredMessage]) -> None:
    from trunkline.cli.console import print_json
    from trunkline.cli.log_lines import as_data

    print_json([as_data(message, await _raw(bus, message)) async for message in messages])


async def _print(bus: Bus, message: StoredMessage, *, as_json: bool) -> None:
    from trunkline.cli.console import out, print_json_line, print_lines
    from trunkline.cli.log_lines import as_data, as_line

    raw = await _raw(bus, message)
    if as_json:
        print_json_line(as_data(message, raw))
    else:
        print_lines([as_line(message, raw, wide=out().width >= WIDE)])


async def _raw(bus: Bus, message: StoredMessage) -> bytes:
    """The body, also when it is stored apart; the reference itself when it leads nowhere."""
    from trunkline.bus.objects import resolve
    from trunkline.contracts.errors import WireViolation

    try:
        return await resolve(bus, message.data)
    except WireViolation:
        return message.data


def _say_nothing_found() -> None:
    from trunkline.cli.console import err, text

    err().print(text(("Nothing on the log fits.", "faint")))
