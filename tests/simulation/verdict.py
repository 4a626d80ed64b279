"""The last look, when everything is at rest: each answer must be the one that the log's results lead to."""

from __future__ import annotations

from tests.simulation.books import Book
from tests.simulation.jetstream import JetStream
from tests.simulation.laws import AT_REST, RIGHT, Laws
from tests.simulation.questions import WRITES, keys_in, spoken, value_of
from tests.simulation.scenario import Scenario

LOOPS = ("solo", "aide")


def judge(laws: Laws, scenario: Scenario, server: JetStream) -> None:
    for letter in server.letters:
        laws.broken(AT_REST, f"a message was parked, and none was poison: {letter[:400]!r}")
    for book in laws.books.values():
        if book.answer is None:
            laws.broken(AT_REST, f"{book.run} has no answer")
            continue
        _calls(laws, scenario, book)
        if error := book.answer.get("error"):
            if error["code"] not in _reasons_to_fail(laws, scenario, book):
                laws.broken(RIGHT, f"{book.run} ended with {error}")
        elif book.agent in LOOPS and book.answer["text"] != (expected := _expected(laws, book)):
            laws.broken(RIGHT, f"{book.run} answers {book.answer['text']!r}, not {expected!r}")


def _calls(laws: Laws, scenario: Scenario, book: Book) -> None:
    allowed = {"not_done"}
    if scenario.flaky:
        allowed.add("tool_failed")
    if book.answer and "error" in book.answer:
        allowed |= {"run_ended", "cancelled"}
    for step, call in book.calls.items():
        if call.result is None:
            laws.broken(AT_REST, f"call {step} of {book.run} has no result")
        elif error := call.result.get("error"):
            if error["code"] not in allowed:
                laws.broken(RIGHT, f"call {step} of {book.run} failed: {error}")
        elif call.result["value"] != value_of(call.result["tool"], call.key):
            laws.broken(RIGHT, f"call {step} of {book.run} gave {call.result['value']!r}")
        elif call.result["tool"] in WRITES and not laws.effects[call.key]:
            laws.broken(RIGHT, f"call {step} of {book.run} gave a value, and had no effect")


def _reasons_to_fail(laws: Laws, scenario: Scenario, book: Book) -> set[str]:
    """Codes of the failures with which this run may have ended."""
    reasons = set()
    if scenario.divergent:
        reasons.add("divergence")
    if book.cancelled:
        reasons.add("cancelled")
    if scenario.flaky:
        reasons.add("model_failed")
    failed = [result for result in book.results.values() if "error" in result]
    if any("run" not in result for result in failed):
        reasons.add("tool_failed")
    if any("run" in result for result in failed):
        reasons.add("run_failed")
    return reasons


def _expected(laws: Laws, book: Book) -> str:
    """What the model says in the end, from what every call came to."""
    return spoken(book.question, [laws.told(key) for turn in keys_in(book.question) for _, key in turn])
