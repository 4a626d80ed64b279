"""What is said once the platform is there: where things are, and what to try."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trunkline.host.declarations import Declared

DEFAULT_URL = "nats://127.0.0.1:4222"
A_QUESTION = "What time is it in Tokyo?"


def where_things_are(console: Console, *, url: str, data: Path, model: str) -> None:
    """Bus, data folder, model."""
    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    shown.add_row("  bus", url)
    shown.add_row("  data", Text.assemble(str(data), (f"  logs in {data / 'logs'}", "dim")))
    shown.add_row("  model", about_model(model))
    console.print(shown, soft_wrap=not console.is_terminal)


def offline(model: str) -> bool:
    """Whether it is the built-in one."""
    return model.startswith("offline:")


def about_model(model: str) -> Text:
    """The offline model says that it is one, and how to have another."""
    if not offline(model):
        return Text(model)
    return Text.assemble("offline", ("  it only picks tools; set OPENAI_API_KEY or another key for more", "dim"))


def try_next(console: Console, commands: Sequence[str], *, url: str) -> None:
    """Commands to copy; elsewhere than on the usual port they need to be told where the bus is."""
    console.print("\n  Try next, in another terminal", style="bold")
    told = [] if url == DEFAULT_URL else [f"export NATS_URL={url}"]
    for command in [*told, *commands]:
        console.print(Text(f"    {command}", style="cyan"), soft_wrap=True)


def first_commands(declared: Sequence[Declared]) -> list[str]:
    """Ask what one of the agents is an example for."""
    examples = [agent.examples[0] for file in declared for agent in file.agents if agent.examples]
    question = examples[0] if examples else A_QUESTION
    return [
        f"trunkline ask {quoted(question)}",
        "trunkline runs",
        "trunkline new agent weather && trunkline run weather.py",
    ]


def quoted(text: str) -> str:
    """As it is typed in a shell, in double quotes where that is enough."""
    return f'"{text}"' if not set(text) & set('"\\$`!') else shlex.quote(text)
