"""The last look, when everything is at rest: each answer must be the one that the log's results lead to."""

from __future__ import annotations

from datetime import UTC, datetime

from tests import budget_law
from tests.simulation.books import Book
from tests.simulation.jetstream import JetStream, Log
from tests.simulation.laws import AT_REST, OVER_BUDGET, RIGHT, Laws
from tests.simulation.questions import WRITES, keys_in, spoken, value_of
from tests.simulation.scenario import Scenario
from tests.simulation.spending import WITHIN, Spending
from tests.simulation.stored import Stored
from trunkline.contracts.codec import Event, decode_fact
from trunkline.contracts.subjects import Subject

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


def settled(spending: Spending, log: Log, *, calm: bool) -> None:
    """What the counters say must be what the log says, and that is never over a limit."""
    if not spending.limits:
        return
    book = budget_law.Book()
    for how in budget_law.overspent([_event(message) for message in log.messages], spending.by_counter, book):
        spending.broken(WITHIN, how)
    spending.judge(book.counts, calm=calm)


def _event(message: Stored) -> Event:
    subject = Subject.parse(message.subject)
    at = datetime.fromtimestamp(message.at, UTC)
    return Event(subject, message.sequence, at, decode_fact(subject.kind, message.data), message.data)


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
    if book.refused:
        reasons.add(OVER_BUDGET)
    if scenario.flaky:
        reasons.add("model_failed")
    failed = [result for result in book.results.values() if "error" in result]
    if any("run" not in result for result in failed):
        reasons.add("tool_failed")
    for result in failed:
        if "run" in result:
            reasons |= {"run_failed", result["error"]["code"]}
    return reasons


def _expected(laws: Laws, book: Book) -> str:
    """What the model says in the end, from what every call came to."""
    return spoken(book.question, [laws.told(key) for turn in keys_in(book.question) for _, key in turn])
