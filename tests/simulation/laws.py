"""The laws of the log, checked while they could be broken: by what is stored, acknowledged, paid and run."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import orjson

from tests.simulation.books import Book, CallBook, Opened, Started
from tests.simulation.jetstream import Durable
from tests.simulation.questions import label_of
from tests.simulation.spending import Limits, Spending
from tests.simulation.stored import Stored
from tests.simulation.world import World
from trunkline.budget import Spender

ONCE = "law 1: one fact, one name, written once"
FACTS_FIRST = "law 2: facts before effects"
ONE_CARRIER = "law 4: one message carries one turn"
NOT_TWICE = "law 5: never silently twice"
ACK_LAST = "law 7: ack last"
AT_REST = "every run ends, and nothing is left over"
RIGHT = "results and answers are right"
NO_SURPRISE = "nothing fails but what may fail"
OVER_BUDGET = "over_budget"


class Laws:
    """Keeps the books. The first breach is kept, with the law that it breaks."""

    def __init__(self, world: World, limits: Limits) -> None:
        self.breach: tuple[str, str] | None = None
        self.books: dict[str, Book] = {}
        self.unanswered = 0
        self.takeovers = 0
        self.paid = 0
        self.effects: dict[str, int] = defaultdict(int)
        self.spending = Spending(world, limits, self.broken)
        self._world = world
        self._subjects: set[str] = set()
        self._names: dict[tuple[str, str, str], str] = {}
        self._asked: dict[str, str] = {}
        self._called: dict[str, CallBook] = {}
        self._taken_up: dict[int, set[tuple[int, int]]] = defaultdict(set)
        self._times: dict[int, int] = defaultdict(int)
        self._holders: set[tuple[str, int, int]] = set()
        self._starts: dict[str, int] = defaultdict(int)

    def broken(self, law: str, how: str) -> None:
        self._world.say(f"*** {law}: {how}")
        self.breach = self.breach or (law, how)

    def book(self, run: str) -> Book:
        found = self.books.get(run)
        if found is None:
            found = self.books[run] = Book(run)
        return found

    def stored(self, message: Stored) -> None:
        """A message was put on the log."""
        if self._world.told:
            self._world.say(f"          {message.sequence}: {message.subject}")
        _, _, conversation, run, kind, name, step = message.subject.split(".")
        if message.subject in self._subjects:
            self.broken(ONCE, f"{message.subject} was written twice")
        self._subjects.add(message.subject)
        if kind in ("task", "call", "result"):
            other = self._names.setdefault((run, kind, step), name)
            if other != name:
                self.broken(ONCE, f"{kind} {step} of {run} stands under {other} and {name}")
        body = orjson.loads(message.data)
        book = self.book(run)
        book.conversation = conversation
        if kind == "prompt":
            self.spending.opened(message.subject, body)
        if kind in ("request", "task") and "text" in body:
            book.question = body["text"]
            self._asked[label_of(book.question)] = run
        self._enter(book, kind, name, step, body, message.sequence)

    def told(self, key: str) -> str:
        """What became of a call, or of a question to another agent, as the agent that made it is told."""
        if key in self._called:
            result = self._called[key].result or {}
            return "failed" if "error" in result else str(result.get("value"))
        answer = self.book(self._asked.get(key, key)).answer or {}
        return "failed" if "error" in answer else str(answer.get("text"))

    def takes_up(self, process: str, durable: Durable, sequence: int, delivery: int) -> None:
        """A process begins to work on a delivery."""
        seen, this = self._taken_up[sequence], (durable.incarnation, delivery)
        if seen and this not in seen:
            self.takeovers += 1
        seen.add(this)
        self._times[sequence] += 1
        self._holders.add((process, sequence, delivery))

    def settled(self, durable: Durable, sequence: int) -> None:
        """A message comes no more: what it asked for must be on the log, or another message must answer for it."""
        if self._world.told:
            self._world.say(f"          {sequence} is settled")
        message = durable.log.messages[sequence - 1]
        _, _, _, run, kind, _, step = message.subject.split(".")
        book = self.book(run)
        if kind in ("task", "result"):
            if sequence == book.carrier:
                self._carrier_settled(book)
        else:
            call = book.calls[_call_step(step)]
            if sequence == call.carrier and call.result is None and not call.waits:
                self.broken(ACK_LAST, f"call {call.step} of {run} is settled, and has neither a result nor a question")

    def pays(self, worker: str, label: str, model: str, cost: int) -> None:
        """A worker begins to pay a model for the run that was asked under this label; picodollars, in the end."""
        self.paid += 1
        book = self.book(self._asked.get(label, label))
        ours = [opened for step in book.prompts.values() for opened in step if opened.worker == worker]
        unpaid = [opened for opened in ours if opened.model == model and not opened.paid]
        if not unpaid:
            self.broken(FACTS_FIRST, f"{worker} pays {model} for {book.run}, and no prompt says so")
            return
        opened = max(unpaid, key=lambda each: each.sequence)
        opened.paid = True
        call = f"trunk.main.{book.conversation}.{book.run}.prompt.{book.agent}.{opened.step}-{opened.attempt}"
        self.spending.pays(call, self._spender(book), cost)
        recorded = book.models.get(opened.step)
        if recorded is not None and recorded < opened.sequence:
            self.broken(NOT_TWICE, f"{book.run}: {opened} pays by prompt {opened.sequence}; recorded is {recorded}")
        attempts = book.prompts[opened.step]
        extra = sum(each.paid for each in attempts) - 1
        explained = len(self._taken_up[opened.carrier]) - 1 + sum(each.failed for each in attempts)
        if extra > explained:
            self.broken(NOT_TWICE, f"{book.run}: {opened}: {extra} extra payments, {explained} takeovers and failures")

    def starts_tool(self, executor: str, key: str, *, write: bool) -> None:
        """An executor hands a call to the sandbox; its `key` is an argument that only this call has."""
        call = self._called.get(key)
        if call is None:
            self.broken(FACTS_FIRST, f"{executor} runs {key}, which nobody called")
            return
        self._starts[key] += 1
        if self._starts[key] > self._times[call.sequence] + call.retries + len(call.decided):
            self.broken(NOT_TWICE, f"{executor} runs {key} for the {self._starts[key]}. time")
        if write:
            mine = [started for started in call.attempts.values() if started.executor == executor and not started.used]
            if not mine:
                self.broken(FACTS_FIRST, f"{executor} runs {key}, and no `started` says so")
                return
            mine[-1].used = True

    def has_effect(self, key: str) -> None:
        self.effects[key] += 1
        self._world.say(f"          effect {key}")
        if self.effects[key] > 1:
            self.broken(NOT_TWICE, f"the effect {key} happened {self.effects[key]} times")

    def _enter(self, book: Book, kind: str, name: str, step: str, body: dict[str, Any], sequence: int) -> None:
        match kind:
            case "task":
                self._task(book, name, body, sequence)
            case "prompt":
                self._prompt(book, step, body, sequence)
            case "model":
                self._model(book, step, body, sequence)
            case "call":
                call = CallBook(sequence, book.run, step, body["arguments"]["key"])
                book.calls[step] = self._called[call.key] = call
                book.turn(body.get("turn", {})).issued.add(step)
            case "result":
                self._result(book, step, body, sequence)
            case "answer":
                book.answer = body
                self.unanswered -= 1
            case "cancel":
                book.cancelled = True
            case "note":
                self._note(book, name, step, body)
            case "started" | "approval" | "decision":
                self._attempt(book, kind, step, body, sequence)

    def _task(self, book: Book, agent: str, body: dict[str, Any], sequence: int) -> None:
        book.agent, book.task, book.user = agent, sequence, body.get("user", "")
        self.unanswered += 1
        if parent := body.get("parent"):
            book.parent = (parent["run"], parent["step"])
            self.book(parent["run"]).turn(parent.get("turn", {})).issued.add(parent["step"])

    def _spender(self, book: Book) -> Spender:
        """Who pays: the run that a user asked for, whoever works for it."""
        root = book
        while root.parent:
            root = self.book(root.parent[0])
        return Spender("main", root.conversation, root.run, root.user, book.agent)

    def _prompt(self, book: Book, name: str, body: dict[str, Any], sequence: int) -> None:
        step, _, attempt = name.rpartition("-")
        opened = Opened(
            sequence,
            step,
            int(attempt),
            body["carrier"],
            body["delivery"],
            body.get("worker", ""),
            body["model"],
        )
        earlier = book.prompts[step]
        if (opened.worker, opened.carrier, opened.delivery) not in self._holders:
            self.broken(ONE_CARRIER, f"{book.run}: {opened} of {opened.carrier}, which it never had")
        if not earlier and opened.carrier != book.carrier:
            self.broken(ONE_CARRIER, f"{book.run}: {opened} of {opened.carrier}; the carrier is {book.carrier}")
        if earlier and not _follows(opened, earlier[-1]):
            self.broken(ONE_CARRIER, f"{book.run}: {opened} of {opened.carrier}; before it, {earlier[-1]}")
        earlier.append(opened)

    def _model(self, book: Book, step: str, body: dict[str, Any], sequence: int) -> None:
        book.models[step] = sequence
        error = body.get("error", {})
        if error.get("code") == OVER_BUDGET:
            book.refused = True
            self.spending.refused(error["data"])

    def _result(self, book: Book, step: str, body: dict[str, Any], sequence: int) -> None:
        book.results[step] = body
        turn = book.turn(body.get("turn", {}))
        turn.issued.add(step)
        turn.results[step] = sequence
        if step in book.calls:
            book.calls[step].result = body

    def _note(self, book: Book, name: str, step: str, body: dict[str, Any]) -> None:
        about, _, rest = step.partition("-")
        number, _, attempt = rest.rpartition("-")
        if about == "reconciled" and not body["data"]["done"]:
            book.calls[number].undone.add(int(attempt))
        elif about == "retry" and name == "tools":
            book.calls[number].retries += 1
        elif about == "retry":
            book.prompts[number][int(attempt) - 1].failed = True

    def _attempt(self, book: Book, kind: str, name: str, body: dict[str, Any], sequence: int) -> None:
        call = book.calls[_call_step(name)]
        attempt = int(name.rpartition("-")[2])
        match kind:
            case "started":
                if not call.may_begin(attempt):
                    self.broken(NOT_TWICE, f"{book.run}: attempt {attempt} of {call.key}; the one before is in doubt")
                call.attempts[attempt] = Started(body["executor"])
            case "approval":
                call.asked.add(attempt)
            case "decision":
                call.decided[attempt] = (sequence, body["verdict"])

    def _carrier_settled(self, book: Book) -> None:
        number = book.complete + 1
        turn = book.turns.get(number)
        if turn is not None and turn.is_issued:
            return
        if book.answer is None:
            self.broken(ACK_LAST, f"the carrier of turn {number} of {book.run} is settled, and the turn is not issued")
        elif book.parent:
            above, step = self.book(book.parent[0]), book.parent[1]
            if step not in above.results and above.answer is None:
                self.broken(ACK_LAST, f"the carrier of {book.run} is settled, and its answer is not handed up")


def _follows(opened: Opened, before: Opened) -> bool:
    """Whether an attempt may be opened after this one: by a later delivery, or by who said that this one failed."""
    if opened.carrier != before.carrier:
        return False
    again = before.failed and before.worker == opened.worker and before.delivery == opened.delivery
    return again or before.delivery < opened.delivery


def _call_step(name: str) -> str:
    """The step of the call that a fact is about which stands under `2`, `2-1` or `doubt-2-1`."""
    call, dash, _ = name.removeprefix("doubt-").rpartition("-")
    return call if dash else name
