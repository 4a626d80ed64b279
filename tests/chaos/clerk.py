"""The agent of the chaos tests: five times a model, then a tool; what its tools do can be counted beside the log."""

import os
import time
from pathlib import Path

from trunkline import Agent, Done, NotDone, Run, tool
from trunkline.contracts.errors import ToolFailed
from trunkline.tool import call_id

HERE = Path(__file__).parent
USES = ("look", "post", "look", "pay", "look")
"""The tool of each turn."""
TOOL_SECONDS = 0.15


def tally(book: str) -> None:
    """Which call, in whose sandbox, when: one short write to a file that is appended to, so no line is ever torn."""
    zygote = Path(f"/proc/{os.getppid()}/stat").read_text()
    executor = zygote.rpartition(")")[2].split()[1]
    with (HERE / book).open("a") as lines:
        lines.write(f"{call_id()} {executor} {time.time():.6f}\n")


def effect() -> None:
    """What nobody may do twice."""
    tally("began")
    time.sleep(TOOL_SECONDS)
    tally("effects")
    time.sleep(TOOL_SECONDS)


@tool
def look(number: int) -> int:
    """Look a number up."""
    tally("began")
    time.sleep(TOOL_SECONDS)
    return 3 * number


@tool(effect="write", timeout=4)
def post(number: int) -> int:
    """Enter a number into the books, which can be looked up again."""
    effect()
    return number


@post.reconcile
def is_posted(number: int) -> Done | NotDone:
    """Whether it stands there."""
    books = HERE / "effects"
    return Done(number) if books.exists() and f"{call_id()} " in books.read_text() else NotDone()


@tool(effect="write", timeout=4)
def pay(number: int) -> int:
    """Pay an amount; whether that happened only a person can find out."""
    effect()
    return number


clerk = Agent("clerk", description="Keeps the books", examples=["Work on 7", "Work on 12"], tools=[look, post, pay])


@clerk.flow
async def work(run: Run) -> str:
    begin = int(run.text.rpartition(" ")[2])
    found = []
    for turn, name in enumerate(USES, start=1):
        await run.model(f"{run.id} {2 * turn - 1}: what comes after {begin + turn}?")
        found.append(await entry(run, name, begin + turn))
    return " ".join(found)


async def entry(run: Run, name: str, number: int) -> str:
    """What the tool gave, or why it gave nothing."""
    try:
        return str(await run.call(name, number=number))
    except ToolFailed as error:
        return str(error.data["code"])


def expected(begin: int) -> list[str]:
    """The words of the answer to `Work on <begin>` when no tool has failed."""
    return [str((begin + turn) * (3 if name == "look" else 1)) for turn, name in enumerate(USES, start=1)]
