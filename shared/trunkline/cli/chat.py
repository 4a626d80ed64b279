"""`trunkline chat`: one conversation, question after question."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.cli.question import Question
    from trunkline.client import Answered

LEAVE = ("/exit", "/quit")


def chat(
    agent: Annotated[str, typer.Option("--agent", "-a", help="Speak with this agent only.")] = "",
    conversation: Annotated[str, typer.Option("--conversation", "-c", help="Go on with this conversation.")] = "",
    user: Annotated[str, typer.Option("--user", "-u", help="Who speaks; else TRUNKLINE_USER.")] = "",
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Converse: the agents see what was said before.

    /exit or Ctrl-D ends it; an error does not. With piped input each line is a question.
    """
    from trunkline.cli.question import Question
    from trunkline.cli.session import run
    from trunkline.client import Ways
    from trunkline.contracts.ids import new_conversation_id, new_run_id

    thread = conversation or new_conversation_id()
    Question(text="hello", run="", agent=agent, conversation=thread).checked()
    run(_reachable(url))
    _welcome(thread)
    failed, opens = False, not conversation
    for line in _lines():
        ways = Ways(opens=opens)
        asked = Question(text=line, run=new_run_id(), agent=agent, conversation=thread, user=user, ways=ways)
        opens = False
        failed = not _answer(asked, url, as_json=as_json) or failed
    if failed and not sys.stdin.isatty():
        raise typer.Exit(1)


def _answer(question: Question, url: str, *, as_json: bool) -> bool:
    """One question and its answer; whatever goes wrong is said, and does not end the conversation."""
    from trunkline.cli import ask
    from trunkline.cli.failures import told
    from trunkline.cli.question import failure_of
    from trunkline.contracts.errors import TrunklineError

    began = time.monotonic()
    try:
        answered = _settled(question, url, as_json=as_json)
        if error := failure_of(answered, question):
            raise error
    except KeyboardInterrupt:
        ask.say_what_goes_on(question)
        return False
    except TrunklineError as error:
        told(error, as_json=as_json)
        return False
    ask.show_answer(answered, time.monotonic() - began, as_json=as_json, stream=False)
    return True


def _settled(question: Question, url: str, *, as_json: bool) -> Answered:
    from trunkline.cli import ask
    from trunkline.cli.session import run

    return run(ask.asked(question, url, ask.view_for(as_json=as_json)))


async def _reachable(url: str) -> None:
    from trunkline.cli.session import on_trunkline

    async with on_trunkline(url):
        pass


def _welcome(thread: str) -> None:
    from trunkline.cli.console import err, text

    if sys.stdin.isatty() and err().is_terminal:
        err().print(text((f"Conversation {thread}. /exit or Ctrl-D ends it.", "faint")))


def _lines() -> Iterator[str]:
    """What is typed, or piped, until its end. A prompt only where somebody types."""
    if not sys.stdin.isatty():
        yield from _wanted(sys.stdin)
        return
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # gives `input` its history and its line editing
    with contextlib.suppress(EOFError):
        yield from _wanted(iter(lambda: input("\n> "), None))
    typer.echo(err=True)


def _wanted(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        said = line.strip()
        if said in LEAVE:
            return
        if said:
            yield said
