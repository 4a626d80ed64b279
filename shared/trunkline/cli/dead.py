"""`trunkline dead list`: the messages that nobody could handle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.bus import Bus
    from trunkline.bus.advisories import Advisory
    from trunkline.bus.letters import Letter


def list_letters(
    service: Annotated[str, typer.Option(help="Only what this service could not handle.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    advisories: Annotated[
        bool, typer.Option("--advisories", help="Instead, what the server gave up without a letter.")
    ] = False,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """The dead letters, newest first.

    Each is a message that a service could not handle, kept whole with the reason; its run has been answered.
    """
    from trunkline.cli.session import run
    from trunkline.contracts.ids import checked_token

    if service:
        checked_token(service, "service")
    if advisories:
        run(_advisories(url, limit, as_json=as_json))
    else:
        run(_letters(url, service, limit, as_json=as_json))


async def _letters(url: str, service: str, limit: int, *, as_json: bool) -> None:
    from trunkline.bus.letters import newest_letters
    from trunkline.cli.console import err, print_json, text
    from trunkline.cli.dead_words import as_data
    from trunkline.cli.session import on_trunkline

    async with on_trunkline(url) as bus:
        found = await newest_letters(bus, service=service, limit=limit)
        if as_json:
            print_json([as_data(each) for each in found])
            return
        if found:
            _show(found)
        else:
            err().print(text((f"No dead letters of {service}." if service else "No dead letters.", "faint")))
        await _mention_advisories(bus)


def _show(found: list[Letter]) -> None:
    from trunkline.cli.console import clean, out, print_table, table, text
    from trunkline.cli.dead_words import about
    from trunkline.cli.figures import ago, count, short

    wide = out().width >= 100
    columns = ["id", "parked", "service", "message", *(["run", "tries"] if wide else []), "reason"]
    shown = table(*columns, flexible="reason", right=["id", "parked", "tries"])
    for each in found:
        told = about(each.letter.subject)
        shown.add_row(
            str(each.id),
            text((ago(each.at), "faint")),
            text((clean(each.letter.service), "name")),
            clean(told.what),
            *([short(told.run) or "–", count(each.letter.delivery)] if wide else []),
            clean(each.letter.reason),
        )
    print_table(shown)


async def _mention_advisories(bus: Bus) -> None:
    from trunkline.bus.advisories import ADVISORIES, newest_advisories
    from trunkline.bus.streams import find_stream
    from trunkline.cli.console import err, say, text

    if await find_stream(bus, ADVISORIES) and await newest_advisories(bus, 1):
        said = ("The server gave up messages that have no letter: ", "faint")
        say(err(), text(said, ("trunkline dead list --advisories", "name")))


async def _advisories(url: str, limit: int, *, as_json: bool) -> None:
    from trunkline.bus.advisories import newest_advisories
    from trunkline.cli.console import err, print_json, text
    from trunkline.cli.session import on_trunkline

    async with on_trunkline(url) as bus:
        found = await newest_advisories(bus, limit)
    if as_json:
        print_json([_advisory_as_data(each) for each in found])
    elif found:
        _show_advisories(found)
    else:
        err().print(text(("The server gave up nothing without a letter.", "faint")))


def _advisory_as_data(advisory: Advisory) -> dict[str, Any]:
    from trunkline.cli.dead_words import about, bytes_as_data

    message = advisory.message
    return {
        "at": advisory.at,
        "kind": advisory.kind,
        "consumer": advisory.consumer,
        "deliveries": advisory.deliveries,
        "reason": advisory.reason,
        "stream": advisory.stream,
        "sequence": advisory.sequence,
        "subject": message.subject if message else None,
        "run": (about(message.subject).run or None) if message else None,
        **bytes_as_data(message.data if message else None),
    }


def _show_advisories(found: list[Advisory]) -> None:
    from trunkline.cli.console import clean, print_table, table, text
    from trunkline.cli.dead_words import about
    from trunkline.cli.figures import ago, count, short

    shown = table("when", "what", "consumer", "tries", "message", "run", flexible="run", right=["when", "tries"])
    for each in found:
        told = about(each.message.subject) if each.message else None
        shown.add_row(
            text((ago(each.at), "faint")),
            text((f"{each.kind}: {clean(each.reason)}" if each.reason else each.kind, "warn")),
            text((clean(each.consumer), "name")),
            count(each.deliveries),
            clean(told.what) if told else f"{each.sequence} of {each.stream}, which is gone",
            short(told.run) if told else "",
        )
    print_table(shown)
