"""Tools whose effects can be counted: each leaves a line in a book, and holds still where a test may kill it."""

import os
import time
from pathlib import Path

from trunkline import Done, NotDone, TryAgain, call_id, tool


def _write(book: str) -> None:
    with Path(book).open("a") as lines:
        lines.write(f"{call_id()}\n")


def _hold(gate: str) -> None:
    """Say that we are here, and wait until the gate is opened."""
    Path(f"{gate}.reached").touch()
    while not Path(gate).exists():
        time.sleep(0.01)


def _effect(book: str, gate: str) -> str:
    _write(book)
    _hold(gate)
    return "done"


@tool(timeout=20)
def look(book: str, gate: str) -> str:
    "Only reads; the line is there to be counted."
    return _effect(book, gate)


@tool(timeout=20, effect="write", idempotent=True)
def put(book: str, gate: str) -> str:
    "Has an effect that may be repeated."
    return _effect(book, gate)


@tool(timeout=8, effect="write")
def charge(book: str, gate: str) -> str:
    "Has an effect that must not be repeated."
    return _effect(book, gate)


@tool(timeout=8, effect="write")
def pay(book: str, gate: str) -> str:
    "Can say afterwards whether it was done."
    _write(book)
    _hold(gate)
    return "paid"


@tool(timeout=8, effect="write")
def prepare(book: str, gate: str) -> str:
    "Holds still before its effect, and can say afterwards whether it was done."
    _hold(gate)
    _write(book)
    return "prepared"


@pay.reconcile
def was_paid(book: str, gate: str) -> Done | NotDone:
    return _found(book)


@prepare.reconcile(timeout=5)
def was_prepared(book: str, gate: str) -> Done | NotDone:
    return _found(book)


def _found(book: str) -> Done | NotDone:
    found = Path(book).exists() and call_id() in Path(book).read_text().split()
    return Done("found in the book") if found else NotDone()


@tool(timeout=20, effect="write")
def guess(book: str, gate: str) -> str:
    "Has a reconcile function that cannot tell."
    return _effect(book, gate)


@guess.reconcile
def cannot_tell(book: str, gate: str) -> None:
    raise ValueError("the bank is closed on Sundays")


@tool(timeout=5, effect="write", approve=True)
def refund(book: str, cents: int) -> str:
    "A person decides first."
    _write(book)
    return f"{cents} refunded"


@tool(timeout=1, effect="write")
def stall(book: str) -> str:
    "Never comes back."
    _write(book)
    time.sleep(1000)
    return ""


@tool(timeout=5, retries=2)
def flaky(book: str, fails: int, how: str = "connection") -> str:
    "Fails so many times before it works."
    _write(book)
    tries = len(Path(book).read_text().split())
    if tries <= fails:
        if how == "later":
            raise TryAgain("The bank is busy.", seconds=0.2)
        if how == "never":
            raise ValueError("a bug")
        raise ConnectionResetError("the bank hung up")
    return f"worked at try {tries}"


@tool(timeout=5)
def dies_once(book: str) -> str:
    "Takes its sandbox along the first time."
    _write(book)
    if len(Path(book).read_text().split()) == 1:
        os.kill(os.getppid(), 9)
        time.sleep(1000)
    return "worked"


@tool(timeout=30)
def linger(gate: str) -> str:
    "Reads for as long as the gate is closed."
    _hold(gate)
    return "waited"
