"""`trunkline dead show`: one letter, opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.bus import Bus
    from trunkline.bus.dead import DeadLetter
    from trunkline.bus.letters import Letter

DUMPED = 2048


def show_letter(
    letter: Annotated[int, typer.Argument(help="Its id, from `trunkline dead list`.", show_default=False)],
    url: Url = "",
    as_json: Json = False,
) -> None:
    """One dead letter: what it is, why nobody could handle it, and the message's bytes."""
    from trunkline.cli.console import print_json
    from trunkline.cli.dead_words import as_data, bytes_as_data
    from trunkline.cli.session import run

    found, raw = run(_opened(url, letter))
    if as_json:
        print_json(as_data(found) | bytes_as_data(raw))
    else:
        _show(found, raw)


async def _opened(url: str, letter: int) -> tuple[Letter, bytes | None]:
    from trunkline.bus import letters
    from trunkline.cli.session import on_trunkline

    async with on_trunkline(url) as bus:
        found = await letters.letter(bus, letter)
        return found, await _body(bus, found.letter)


async def _body(bus: Bus, letter: DeadLetter) -> bytes | None:
    """What was delivered; where that is a reference, what it leads to, if anything."""
    from trunkline.bus.letters import contents
    from trunkline.bus.objects import resolve
    from trunkline.contracts.errors import WireViolation

    raw = await contents(bus, letter)
    if raw is None:
        return None
    try:
        return await resolve(bus, raw)
    except WireViolation:
        return raw


def _show(found: Letter, raw: bytes | None) -> None:
    from rich.table import Table

    from trunkline.cli.console import clean, err, out, print_table, say, text
    from trunkline.cli.dead_words import about
    from trunkline.cli.figures import clock, size

    letter = found.letter
    told = about(letter.subject)
    facts = {
        "letter": f"{found.id}, parked by {letter.service} at {clock(found.at)} after delivery {letter.delivery}",
        "message": f"{told.what}, {letter.sequence} of its stream, {size(letter.size)}",
        "run": told.run or "none: the subject names no run",
        "conversation": told.key.conversation if told.key else "–",
        "subject": letter.subject,
        "reason": f"{letter.reason} ({letter.code})",
    }
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, said in facts.items():
        grid.add_row(text((name, "faint")), text(clean(said)))
    print_table(grid)
    out().print()
    _show_body(letter, raw)
    if err().is_terminal:
        err().print()
        say(err(), text((f"Ask again: trunkline dead requeue {found.id}", "faint")))


def _show_body(letter: DeadLetter, raw: bytes | None) -> None:
    from trunkline.cli.console import clean, out, print_lines, say, text
    from trunkline.cli.dead_words import hex_dump, readable

    if raw is None:
        gone = "The message was too large for a letter, and is no longer where it was."
        say(out(), text((gone if letter.where else "The letter's bytes cannot be read.", "bad")))
        return
    if not raw:
        say(out(), text(("The message is empty.", "faint")))
        return
    written = readable(raw)
    if written is not None:
        out().print(text(clean(written, lines=True)), soft_wrap=not out().is_terminal)
        return
    print_lines(text(line) for line in hex_dump(raw, DUMPED))
    if len(raw) > DUMPED:
        say(out(), text((f"… {len(raw) - DUMPED:,} more bytes; --json has them all.", "faint")))
