"""`trunkline dead requeue`: what could not be handled is asked again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.bus import Bus
    from trunkline.cli.asking_again import Again
    from trunkline.cli.views import View
    from trunkline.client import Answered
    from trunkline.contracts.subjects import RunKey


def requeue_letter(
    letter: Annotated[int, typer.Argument(help="Its id, from `trunkline dead list`.", show_default=False)],
    text: Annotated[str, typer.Option(help="Ask this instead; needed when no request can be read.")] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the new run to its answer.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the letter.")] = False,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Ask a dead letter's question again, as a new run in the same conversation; then drop the letter.

    The old run has its answer, a failure, and keeps it. A timer that failed is set off again instead.
    """
    from trunkline.cli.ask import view_for
    from trunkline.cli.session import run as settled

    view = view_for(as_json=as_json) if watch else None
    began = time.monotonic()
    done, answered = settled(_requeue(url, letter, text, keep=keep, quiet=as_json, view=view))
    if as_json:
        _print(letter, done, answered, kept=keep)
    if answered:
        _end(answered, time.monotonic() - began, as_json=as_json)


async def _requeue(
    url: str, letter: int, text: str, *, keep: bool, quiet: bool, view: View | None
) -> tuple[Again, Answered | None]:
    """What was done, and with a `view` the new run's answer."""
    from trunkline.bus import letters
    from trunkline.cli.asking_again import ask_again
    from trunkline.cli.session import on_trunkline

    async with on_trunkline(url) as bus:
        found = await letters.letter(bus, letter)
        done = await ask_again(bus, found, text)
        if not keep:
            await letters.drop(bus, found)
        if not quiet:
            _say(letter, done, kept=keep)
        return done, await _watched(bus, done.run, view) if done.run and view else None


async def _watched(bus: Bus, run: RunKey, view: View) -> Answered:
    from trunkline.client import Answered, Client

    with view:
        async for item in Client(bus, tenant=run.tenant).watch(run.run, run.conversation):
            if isinstance(item, Answered):
                return item
            view.take(item)
    raise AssertionError("a run's progress ends with its answer")


def _say(letter: int, done: Again, *, kept: bool) -> None:
    from trunkline.cli.console import err, out, say, text

    if done.run is None:
        said = text("Set off the timer of run ", (done.origin.run if done.origin else "", "name"), " again.")
    else:
        said = text("Asked again as run ", (done.run.run, "name"), f", conversation {done.run.conversation}.")
    say(out(), said)
    say(err(), text((f"Letter {letter} is {'kept' if kept else 'dropped'}.", "faint")))


def _print(letter: int, done: Again, answered: Answered | None, *, kept: bool) -> None:
    from trunkline.cli.console import print_json

    said: dict[str, Any] = {
        "letter": letter,
        "run": done.run.run if done.run else None,
        "conversation": done.run.conversation if done.run else None,
        "requeued_from": done.origin.run if done.origin else None,
        "dropped": not kept,
    }
    if answered:
        failure = {"code": answered.error.code, "message": answered.error.message} if answered.error else None
        said["answer"] = {"agent": answered.agent, "text": answered.text, "error": failure}
    print_json(said)


def _end(answered: Answered, seconds: float, *, as_json: bool) -> None:
    """The answer; a recorded failure ends the command as it ends `ask`."""
    from trunkline.cli.ask import footer, show_answer
    from trunkline.cli.question import recorded

    if answered.error is None:
        if not as_json:
            show_answer(answered, seconds, as_json=False)
        return
    if as_json:
        raise typer.Exit(1)
    footer(answered, seconds, as_json=False)
    raise recorded(answered.error, named=False, run=answered.run)
