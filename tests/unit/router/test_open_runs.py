"""What the router makes of the log: which runs are open, and which of them want something."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from trunkline.contracts.ids import RunId
from trunkline.contracts.messages import Answer, Cancel, Fact, Note, Parent, Request, Task
from trunkline.contracts.subjects import Kind, RunKey
from trunkline_router.deadline import Limits
from trunkline_router.runs.open_runs import WAITING, OpenRuns
from trunkline_router.runs.sharing import BEHIND, SHARING

BEGAN = datetime(2030, 1, 1, tzinfo=UTC)
LIMITS = Limits(run_seconds=900, longest_run_seconds=3600, queue_seconds=120)


FACTS: tuple[tuple[Kind, str, Fact], ...] = (
    ("request", "router", Request(text="?")),
    ("task", "a", Task()),
    ("answer", "client", Answer()),
    ("cancel", "all", Cancel()),
    ("note", "router", Note(what=WAITING)),
)


class Log:
    """Messages that are read in the order in which they are written here, one a second."""

    def __init__(self) -> None:
        self.runs = OpenRuns(LIMITS)
        self.sequence = 0

    @property
    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.sequence)

    def write(self, kind: Kind, name: str, fact: Fact, run: str = "r", conversation: str = "c") -> RunKey:
        self.sequence += 1
        key = RunKey.checked(run, conversation)
        self.runs.take(key.step(kind, name), self.sequence, self.now, fact)
        return key

    def ask(self, run: str = "r", **request: object) -> RunKey:
        return self.write("request", "router", Request(text="?", **request), run)  # type: ignore[arg-type]

    def place(self, run: str = "r", agent: str = "a", **task: object) -> RunKey:
        return self.write("task", agent, Task(**task), run)  # type: ignore[arg-type]

    def answer(self, run: str = "r") -> RunKey:
        return self.write("answer", "client", Answer(text="!"), run)

    def touched(self) -> list[str]:
        found: list[str] = [key.run for key in self.runs.touched]
        self.runs.touched.clear()
        return found


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_run_is_open_until_it_is_answered(log: Log) -> None:
    key = log.ask()
    assert (key in log.runs, log.runs.has_ended(key, 1)) == (True, False)
    log.answer()
    assert (key in log.runs, log.runs.has_ended(key, 1)) == (False, True)
    assert not log.runs.has_ended(RunKey.checked("unread", "c"), 3)


def test_the_earlier_questions_of_its_conversation(log: Log) -> None:
    log.ask("one")
    log.write("request", "router", Request(text="?"), "elsewhere", "other")
    log.place("delegated", parent=Parent(run=RunId("one"), agent="a", step="1"))
    two, three = log.ask("two"), log.ask("three")

    def earlier(key: RunKey) -> list[str]:
        run = log.runs.get(key)
        assert run is not None
        return [each.key.run for each in log.runs.earlier(run)]

    assert (earlier(two), earlier(three)) == (["one"], ["one", "two"])
    log.answer("one")
    assert earlier(three) == ["two"]


def test_a_backtests_question_is_in_nobodys_way_and_has_all_its_time(log: Log) -> None:
    tried, after = log.write("request", "backtest", Request(text="?"), "tried"), log.ask("after")
    run, other = log.runs.get(tried), log.runs.get(after)
    assert run
    assert other
    assert (run.due, log.runs.earlier(other), log.runs.at_all()) == (run.deadline, [], 0)


@pytest.mark.parametrize("note_first", [True, False])
def test_a_parked_question_is_looked_at_when_its_turn_comes(log: Log, *, note_first: bool) -> None:
    """In whichever order the note that it waits and the earlier answer were stored."""
    log.ask("one")
    log.ask("two")
    steps: list[Callable[[], object]] = [
        lambda: log.write("note", "router", Note(what=WAITING), "two"),
        lambda: log.answer("one"),
    ]
    for step in steps if note_first else reversed(steps):
        log.touched()
        step()
    assert log.touched() == ["two"]
    run = log.runs.get(RunKey.checked("two", "c"))
    assert run
    assert (run.parked, log.runs.earlier(run)) == (True, [])


def test_a_placed_question_does_not_wait(log: Log) -> None:
    log.ask("one")
    key = log.place("one")
    log.write("note", "router", Note(what=WAITING), "one")
    run = log.runs.get(key)
    assert run
    assert not run.parked


def test_an_agents_runs_are_counted_once(log: Log) -> None:
    """Also while the task that is about to be written does not stand on the log yet."""
    key = log.ask()
    log.runs.count(key, "a")
    assert (log.runs.at("a"), log.runs.at_all()) == (1, 1)
    log.place(agent="b")
    assert (log.runs.at("a"), log.runs.at("b"), log.runs.at_all()) == (0, 1, 1)
    log.runs.take_back(key)
    assert log.runs.at("b") == 1
    log.answer()
    assert (log.runs.at("b"), log.runs.at_all()) == (0, 0)


def test_a_task_that_was_not_written_is_not_counted(log: Log) -> None:
    key = log.ask()
    log.runs.count(key, "a")
    log.runs.take_back(key)
    assert log.runs.at_all() == 0


def test_children_are_looked_at_when_their_parent_ends(log: Log) -> None:
    parent = log.ask("parent")
    log.place("parent")
    log.place("child", agent="b", parent=Parent(run=parent.run, agent="a", step="1"))
    assert log.touched() == []
    assert [child.agent for child in log.runs.children(parent)] == ["b"]
    log.answer("parent")
    assert log.touched() == ["child"]


def test_a_child_whose_parent_is_not_open_is_looked_at(log: Log) -> None:
    log.place("child", parent=Parent(run=RunId("gone"), agent="a", step="1"))
    assert log.touched() == ["child"]


def test_a_parent_that_cannot_be_one_is_none(log: Log) -> None:
    key = log.place("child", parent=Parent(run=RunId("a.>"), agent="a", step="1"))
    run = log.runs.get(key)
    assert run
    assert run.parent is None


def test_a_task_behind_the_answer_brings_the_run_back_and_is_looked_at(log: Log) -> None:
    log.ask()
    log.answer()
    log.place()
    assert log.touched() == ["r"]


def test_a_child_that_was_to_stop_stays_until_its_parent_was_told(log: Log) -> None:
    parent = log.ask("parent")
    log.place("parent")
    child = log.place("child", agent="b", parent=Parent(run=parent.run, agent="a", step="1"))
    log.write("cancel", "all", Cancel(), "child")
    log.answer("child")
    assert "child" in log.touched()
    assert (child in log.runs, log.runs.at("b"), log.runs.oldest()) == (True, 0, 0)
    log.runs.forget(child)
    assert log.runs.children(parent) == []


def test_a_child_that_ends_behind_its_parent_tells_nobody(log: Log) -> None:
    parent = log.ask("parent")
    child = log.place("child", parent=Parent(run=parent.run, agent="a", step="1"))
    log.write("cancel", "all", Cancel(), "child")
    log.answer("parent")
    log.answer("child")
    assert (child in log.runs, len(log.runs)) == (False, 0)


def test_a_run_is_due_at_the_end_of_its_queue_time_and_at_its_deadline(log: Log) -> None:
    key = log.ask()
    asked, run = log.now, log.runs.get(key)
    assert run
    log.runs.touch_due(asked + timedelta(seconds=119))
    assert log.touched() == []
    log.runs.touch_due(asked + timedelta(seconds=120))
    assert log.touched() == ["r"]
    log.runs.has_begun(run)
    assert log.runs.alarm() == asked + timedelta(seconds=900)
    log.runs.touch_due(asked + timedelta(seconds=899))
    assert log.touched() == []
    log.runs.touch_due(asked + timedelta(seconds=900))
    assert log.touched() == ["r"]


@pytest.mark.parametrize(
    ("deadline", "seconds"),
    [
        (BEGAN + timedelta(seconds=31), 30),
        (BEGAN + timedelta(days=900), 900),
        (BEGAN - timedelta(days=1), 900),
        (datetime(2030, 1, 1, 0, 1), 900),  # noqa: DTZ001  # the mistake that this is about
    ],
)
def test_a_deadline_that_cannot_be_is_not_kept(log: Log, deadline: datetime, seconds: float) -> None:
    """The router refuses it; until the refusal stands on the log, its own limit holds."""
    run = log.runs.get(log.ask(deadline=deadline))
    assert run
    assert run.deadline == log.now + timedelta(seconds=seconds)


def test_what_cannot_be_read_is_a_run_like_any_other(log: Log) -> None:
    key = log.write("request", "router", Fact())
    log.write("task", "a", Fact())
    run = log.runs.get(key)
    assert run
    assert (run.agent, run.deadline) == ("a", BEGAN + timedelta(seconds=901))
    log.write("cancel", "all", Fact())
    assert run.cancel == Cancel()


def test_who_begins_anew_reads_behind_the_oldest_open_run(log: Log) -> None:
    assert log.runs.oldest() == 0
    log.ask("one")
    log.ask("two")
    log.answer("one")
    assert log.runs.oldest() == 1
    log.answer("two")
    assert log.runs.oldest() == 4


def test_reading_from_the_mark_finds_the_same_open_runs() -> None:
    """Whatever the log is: a router that begins at the mark knows what one knows that has read everything."""
    generator = random.Random(7)
    for _ in range(300):
        log = Log()
        written: list[tuple[str, Kind, str, Fact, int]] = []
        for _ in range(40):
            run, (kind, name, fact) = f"r{generator.randrange(6)}", generator.choice(FACTS)
            if {(run, kind), (run, "answer")}.isdisjoint(each[:2] for each in written):
                log.write(kind, name, fact, run)
                written.append((run, kind, name, fact, log.sequence))
        anew, mark = OpenRuns(LIMITS), log.runs.oldest()
        for run, kind, name, fact, sequence in written:
            if sequence > mark:
                subject = RunKey.checked(run, "c").step(kind, name)
                anew.take(subject, sequence, BEGAN + timedelta(seconds=sequence), fact)
        assert state(anew) == state(log.runs)


def test_what_has_ended_takes_no_room(log: Log) -> None:
    for number in range(20_000):
        log.ask(f"r{number}")
        log.place(f"r{number}")
        log.answer(f"r{number}")
    assert len(log.runs) == 0
    assert len(log.runs._alarms) < 2000
    assert {len(each) for each in (log.runs._conversations, log.runs._children, log.runs._at, log.runs._counted)} == {0}
    assert len(log.runs.touched) == 0


def state(runs: OpenRuns) -> list[object]:
    return [
        (run.key, run.first, run.asked, run.placed, run.agent, run.parked, run.cancel, run.due)
        for run in runs._runs.values()
    ]


def shares(log: Log, run: str, behind: object) -> RunKey:
    return log.write("note", "router", Note(what=SHARING, data={BEHIND: behind}), run, run)


def asks(log: Log, run: str) -> RunKey:
    return log.write("request", "router", Request(text="?"), run, run)


def test_a_run_whose_task_bears_a_key_leads_those_who_ask_the_same(log: Log) -> None:
    first = asks(log, "a")
    asked = log.sequence
    assert log.runs.leader("k", but=first) == 0
    log.write("task", "agent", Task(cache="k"), "a", "a")
    other = asks(log, "b")
    assert (log.runs.leader("k", but=other), log.runs.leader("k", but=first)) == (asked, 0)
    log.write("cancel", "all", Cancel(), "a", "a")
    assert log.runs.leader("k", but=other) == 0


def test_a_run_leads_from_the_moment_that_it_is_about_to_be_placed(log: Log) -> None:
    first, other = RunKey.checked("a", "a"), RunKey.checked("b", "b")
    log.runs.count(first, "agent")
    log.runs.sharing.lead("k", first, 7)
    assert log.runs.leader("k", but=other) == 7
    log.runs.take_back(first)
    assert log.runs.leader("k", but=other) == 0


def test_a_run_that_has_ended_leads_nobody_even_if_that_was_read_before(log: Log) -> None:
    first = asks(log, "a")
    log.write("answer", "client", Answer(), "a", "a")
    log.runs.sharing.lead("k", first, 1)
    assert log.runs.leader("k", but=RunKey.checked("b", "b")) == 0


def test_those_who_wait_are_looked_at_when_the_other_run_ends(log: Log) -> None:
    asks(log, "a")
    asked = log.sequence
    log.write("task", "agent", Task(cache="k"), "a", "a")
    for each in ("b", "c"):
        asks(log, each)
        shares(log, each, asked)
    run = log.runs.get(RunKey.checked("b", "b"))
    assert run
    assert log.runs.ahead(run) is log.runs.get(RunKey.checked("a", "a"))
    log.touched()
    log.write("answer", "client", Answer(), "a", "a")
    assert (log.touched(), log.runs.ahead(run)) == (["b", "c"], None)


def test_nobody_waits_for_one_who_waits(log: Log) -> None:
    for run in ("a", "b"):
        asks(log, run)
    shares(log, "b", 1)
    one, other = (log.runs.get(RunKey.checked(each, each)) for each in ("a", "b"))
    assert one
    assert other
    assert log.runs.ahead(other) is one
    log.touched()
    shares(log, "a", 2)
    assert (sorted(log.touched()), log.runs.ahead(other), log.runs.ahead(one)) == (["a", "b"], None, None)


def test_the_time_in_the_queue_begins_when_the_waiting_is_over(log: Log) -> None:
    asks(log, "a")
    asks(log, "b")
    shares(log, "b", 1)
    run = log.runs.get(RunKey.checked("b", "b"))
    assert run
    assert run.due == log.now + (run.deadline - log.now) / 2
    log.write("answer", "client", Answer(), "a", "a")
    log.sequence += 500
    log.write("task", "agent", Task(cache="k"), "b", "b")
    assert (run.due, run.waits_for_same) == (log.now + timedelta(seconds=120), False)


@pytest.mark.parametrize("said", [None, "1", -1, 0, True, 1.5, [1]])
def test_a_note_that_says_nothing_makes_nobody_wait(log: Log, said: object) -> None:
    run = log.runs.get(asks(log, "a"))
    shares(log, "a", said)
    assert run
    assert not run.waits_for_same
