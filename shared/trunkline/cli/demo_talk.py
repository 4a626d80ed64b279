"""One question of the demonstration as it happens: its steps, and the answer as it is written."""

from __future__ import annotations

import time

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from trunkline.cli.console import clean
from trunkline.cli.demo_questions import DemoQuestion
from trunkline.cli.figures import duration
from trunkline.client import Answered, Client, Progress, TextDelta

INDENT = 5
PATIENCE = 120.0


async def talk(console: Console, client: Client, number: int, question: DemoQuestion) -> Answered:
    """Raises DeadlinePassed, BusUnavailable."""
    _say_question(console, number, question)
    began, answer = time.monotonic(), _Answer()
    with Live(answer, console=console, refresh_per_second=20, transient=True, redirect_stdout=False):
        async for item in client.stream(question.text, agent=question.agent, timeout=PATIENCE):
            if isinstance(item, TextDelta):
                answer.text = item.text if item.restart else answer.text + item.text
            elif isinstance(item, Progress):
                answer.text = ""
                _say(console, f"{duration((time.monotonic() - began) * 1000):>7}  {clean(item.text)}")
            else:
                break
        else:
            raise AssertionError("a stream ends with its answer")
    _say_answer(console, item, question)
    return item


class _Answer:
    """The text so far, indented."""

    text = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.text:
            yield Padding(Text(clean(self.text, lines=True)), (0, 0, 0, INDENT))


def _say_question(console: Console, number: int, question: DemoQuestion) -> None:
    """With what it shows beside it, or below it on a narrow terminal."""
    fits = INDENT + len(question.text) + 2 + len(question.shows) <= console.width
    between = "  " if fits or not console.is_terminal else f"\n{'':{INDENT}}"
    said = Text.assemble((f"\n  {number}  ", "dim"), (question.text, "bold"), (f"{between}{question.shows}", "dim"))
    console.print(said, soft_wrap=True)


def _say(console: Console, text: str) -> None:
    console.print(Text(f"{'':{INDENT}}{text}", style="dim"), soft_wrap=not console.is_terminal)


def _say_answer(console: Console, answered: Answered, question: DemoQuestion) -> None:
    if error := answered.error:
        said = Text.assemble(("refused  ", "yellow"), clean(error.message), (f" {clean(error.hint)}", "dim"))
    else:
        said = Text(clean(answered.text, lines=True))
    if not question.right(answered):
        said.append("  This is not the answer that was expected.", style="red")
    if console.is_terminal:
        console.print(Padding(said, (0, 0, 0, INDENT)))
    else:
        console.print(Text(" " * INDENT) + said, soft_wrap=True)
