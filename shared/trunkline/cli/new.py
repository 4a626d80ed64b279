"""`trunkline new agent NAME`: a first agent, ready to run."""

from __future__ import annotations

import keyword
from pathlib import Path
from typing import Annotated

import typer

TEMPLATE = """\
from typing import Literal

from trunkline import Agent, tool

NOTES = {{"opening hours": "Monday to Friday, 9 to 17", "price": "12 euros a month"}}


@tool
def {word}_notes(topic: Literal["opening hours", "price"]) -> str:
    "What the {label} notes say about a topic."
    return NOTES[topic]


{word} = Agent(
    "{name}",
    description="{about}: opening hours and the price",
    examples=["{question}", "What is the price of {label}?"],
    instructions="Answer in one sentence, from your notes only.",
    tools=[{word}_notes],
)
"""


def new_agent(
    name: Annotated[str, typer.Argument(help="Of the agent: letters, digits, _ and -.", show_default=False)],
    path: Annotated[Path | None, typer.Option(help="The file; else NAME.py here.", show_default=False)] = None,
) -> None:
    """Write an agent of a few lines, with one tool, to begin from."""
    import shlex

    from rich.text import Text

    from trunkline.cli.console import out
    from trunkline.cli.next_steps import quoted

    word = _python_name(name)
    file = path or Path(f"{word}.py")
    _write(file, agent_file(name, word))
    out().print(f"\n  ✔ {file}: an agent with one tool.\n", soft_wrap=True)
    out().print("  Try next, while `trunkline up` runs", style="bold")
    for command in (f"trunkline run {shlex.quote(str(file))}", f"trunkline ask {quoted(question_for(word))}"):
        out().print(Text(f"    {command}", style="cyan"), soft_wrap=True)
    out().print()


def agent_file(name: str, word: str) -> str:
    """The source of an agent `name`, whose variable is `word`."""
    return TEMPLATE.format(
        name=name, word=word, label=_label(word), about=_label(word).capitalize(), question=question_for(word)
    )


def question_for(word: str) -> str:
    """One that the new agent answers with its tool, whatever the model."""
    return f"What are the {_label(word)} opening hours?"


def _label(word: str) -> str:
    return word.replace("_", " ")


def _python_name(name: str) -> str:
    """Raises InvalidName."""
    from trunkline.contracts.errors import InvalidName
    from trunkline.contracts.ids import checked_token, tool_token

    word = checked_token(name, "agent").lower().replace("-", "_")
    if not word.isidentifier() or keyword.iskeyword(word):
        raise InvalidName(f"agent {name!r} cannot be a name in Python.", "Begin with a letter: billing, order_desk.")
    tool_token(f"{word}_notes")
    return word


def _write(file: Path, source: str) -> None:
    """Never over something. Raises CallerMistake."""
    from trunkline.contracts.errors import CallerMistake

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as new:
            new.write(source)
    except FileExistsError as error:
        raise CallerMistake(f"{file} exists already.", "Choose another name, or another file with --path.") from error
    except OSError as error:
        raise CallerMistake(
            f"{file} cannot be written: {error.strerror}.", "Choose another one with --path."
        ) from error
