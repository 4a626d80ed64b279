"""`trunkline ask`: one question, its run as it happens, its answer."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trunkline.cli.options import Json, Url

Order = Literal["queue", "parallel", "replace"]

if TYPE_CHECKING:
    from trunkline.cli.question import Question
    from trunkline.cli.views import View
    from trunkline.client import Answered, Ways


def ask(
    question: Annotated[str, typer.Argument(help="What you want to know; - reads it from stdin.", show_default=False)],
    agent: Annotated[str, typer.Option("--agent", "-a", help="Skip the routing: this agent.")] = "",
    conversation: Annotated[str, typer.Option("--conversation", "-c", help="Go on with this conversation.")] = "",
    user: Annotated[str, typer.Option("--user", "-u", help="Who asks; else TRUNKLINE_USER.")] = "",
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait; the run goes on regardless.")] = 300.0,
    deadline: Annotated[float, typer.Option(min=0, help="Seconds that the run may take; 0: as the platform says.")] = 0,
    order: Annotated[Order | None, typer.Option(help="While an earlier question of the conversation is open.")] = None,
    cancel_on_exit: Annotated[bool, typer.Option("--cancel-on-exit", help="Stop the run if we leave before.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="No answer that was given before will do.")] = False,
    run: Annotated[str, typer.Option(help="The run's id, so that asking again asks the same thing.")] = "",
    stream: Annotated[bool, typer.Option("--stream", help="With --json: a line for each step and text.")] = False,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Ask a question, and watch its run until the answer."""
    from trunkline.cli import question as asking
    from trunkline.cli.session import run as settled
    from trunkline.contracts.ids import new_run_id

    wanted = asking.Question(
        text=sys.stdin.read() if question == "-" else question,
        run=run or new_run_id(),
        agent=agent,
        conversation=conversation,
        again=bool(run),
        user=user,
        timeout=timedelta(seconds=timeout),
        ways=ways_of(deadline, order, cancel_on_exit=cancel_on_exit, fresh=fresh),
    ).checked()
    began = time.monotonic()
    try:
        answered = settled(asked(wanted, url, view_for(as_json=as_json, stream=stream)))
    except KeyboardInterrupt:
        say_what_goes_on(wanted)
        raise
    seconds = time.monotonic() - began
    if error := asking.failure_of(answered, wanted):
        footer(answered, seconds, as_json=as_json)
        raise error
    show_answer(answered, seconds, as_json=as_json, stream=stream)


async def asked(question: Question, url: str, view: View) -> Answered:
    """The answer, over a connection of its own."""
    from dataclasses import replace

    from trunkline.cli.question import put
    from trunkline.cli.session import on_trunkline
    from trunkline.cli.settings import CliSettings

    settings = CliSettings.load()
    async with on_trunkline(url) as bus:
        return await put(bus, settings.tenant, replace(question, user=question.user or settings.user), view)


def view_for(*, as_json: bool, stream: bool = False) -> View:
    """Progress goes to stderr, and only when somebody looks at it; text only where the answer will stand too."""
    from trunkline.cli.console import err, out
    from trunkline.cli.views import JsonLines, OnTerminal, Silent

    if as_json:
        return JsonLines() if stream else Silent()
    return OnTerminal(err(), writing=out().is_terminal) if err().is_terminal else Silent()


def show_answer(answered: Answered, seconds: float, *, as_json: bool, stream: bool = False) -> None:
    from trunkline.cli.console import clean, err, out, print_json, print_json_line, text

    if as_json:
        said = {
            "run": answered.run,
            "conversation": answered.conversation,
            "agent": answered.agent,
            "text": answered.text,
            "seconds": round(seconds, 4),
        }
        if stream:
            print_json_line({"type": "answer"} | said)
        else:
            print_json(said)
        return
    if out().is_terminal:
        if err().is_terminal:
            out().print()
        out().print(text(clean(answered.text, lines=True)))
    else:
        typer.echo(answered.text)
    footer(answered, seconds, as_json=False)


def footer(answered: Answered, seconds: float, *, as_json: bool) -> None:
    """Who answered, how long it took, and where to see how it came about; for people only."""
    from trunkline.cli.console import clean, err, say, text
    from trunkline.cli.figures import duration, short

    if as_json or not err().is_terminal:
        return
    parts = [clean(answered.agent)] if answered.agent else []
    parts += [duration(seconds * 1000), f"trunkline show {short(answered.run)}"]
    say(err(), text((" · ".join(parts), "faint")))


def ways_of(deadline: float, order: Order | None, *, cancel_on_exit: bool, fresh: bool = False) -> Ways:
    from trunkline.client import Ways

    ways = Ways(on_disconnect="cancel" if cancel_on_exit else "continue")
    if deadline:
        ways["deadline"] = deadline
    if order:
        ways["order"] = order
    if fresh:
        ways["fresh"] = True
    return ways


def say_what_goes_on(question: Question) -> None:
    """After Ctrl-C; a second one has ended us before."""
    from trunkline.cli.console import err, say, text

    run = question.run
    if question.ways.get("on_disconnect") == "cancel":
        say(err(), text(("The run was told to stop: ", "faint"), f"trunkline show {run}"))
    else:
        say(err(), text(("The run goes on: ", "faint"), f"trunkline show {run}"))
        say(err(), text(("To stop it: ", "faint"), f"trunkline cancel {run}"))
