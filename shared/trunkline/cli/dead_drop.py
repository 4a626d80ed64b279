"""`trunkline dead drop`: letters that nobody wants any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.bus import Bus
    from trunkline.bus.letters import Letter


def drop_letters(
    letters: Annotated[list[int] | None, typer.Argument(metavar="LETTER...", help="Their ids.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them, or all of one service.")] = False,
    service: Annotated[str, typer.Option(help="With --all: only what this service could not handle.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Drop dead letters for good: their messages cannot be asked again any more."""
    from trunkline.cli.console import out, print_json, say, text
    from trunkline.cli.figures import counted
    from trunkline.cli.session import run
    from trunkline.contracts.errors import InvalidArguments
    from trunkline.contracts.ids import checked_token

    if bool(letters) == everything or (service and not everything):
        raise InvalidArguments(
            "It is not clear which letters are meant.", "Name their ids; or `--all`, which `--service` may narrow."
        )
    if service:
        checked_token(service, "service")
    dropped = run(_drop_all(url, service, sure=yes) if everything else _drop_these(url, letters or []))
    if as_json:
        print_json({"dropped": dropped})
    else:
        say(out(), text(f"Dropped {counted(len(dropped), 'letter')}."))


async def _drop_these(url: str, ids: list[int]) -> list[int]:
    """All of them, or none when one is not there. Raises NotFound."""
    from trunkline.bus import letters
    from trunkline.cli.session import on_trunkline

    async with on_trunkline(url) as bus:
        found = [await letters.letter(bus, each) for each in dict.fromkeys(ids)]
        return [letter.id for letter in found if await _drop(bus, letter)]


async def _drop_all(url: str, service: str, *, sure: bool) -> list[int]:
    from trunkline.bus import letters
    from trunkline.cli.console import err
    from trunkline.cli.progress import progress
    from trunkline.cli.session import on_trunkline

    async with on_trunkline(url) as bus:
        meant = {letter.id async for letter in letters.letters(bus, service=service)}
        if meant and not sure:
            _confirm(len(meant), service)
        dropped: list[int] = []
        with progress(err(), "dropping letters", len(meant)) as step:
            async for letter in letters.letters(bus, service=service):
                if letter.id in meant and await _drop(bus, letter):
                    dropped.append(letter.id)
                step(len(dropped))
        return dropped


async def _drop(bus: Bus, letter: Letter) -> bool:
    """False when somebody else was quicker."""
    from trunkline.bus.letters import drop
    from trunkline.cli.asking_again import note
    from trunkline.cli.dead_words import about

    gone = await drop(bus, letter)
    if gone:
        await note(bus, about(letter.letter.subject).key, "letter_dropped", letter.id)
    return gone


def _confirm(count: int, service: str) -> None:
    """Raises InvalidArguments where nobody can be asked, and Abort on a no."""
    from trunkline.cli.confirming import confirm
    from trunkline.cli.figures import counted

    what = f"{counted(count, 'dead letter')}{f' of {service}' if service else ''}"
    confirm(f"Drop {what} for good?", whether=f"drop {what}")
