"""What a candidate would change: read off the log, and counted."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from trunkline.cli.backtest import candidate_of
from trunkline.cli.backtest_log import Past, Pasts
from trunkline.cli.backtest_report import Change, Decision, percentile, report
from trunkline.contracts.codec import Event
from trunkline.contracts.errors import InvalidSettings
from trunkline.contracts.messages import Answer, Fact, Feedback, Parent, Part, Request, Route, Task
from trunkline.contracts.subjects import RunKey

AT = datetime(2026, 11, 23, tzinfo=UTC)


class Log:
    def __init__(self) -> None:
        self.pasts = Pasts()
        self._sequence = 0

    def tell(self, run: str, kind: str, name: str, fact: Fact, conversation: str = "c") -> None:
        self._sequence += 1
        subject = RunKey.checked(run, conversation).step(kind, name, f"{self._sequence}")  # type: ignore[arg-type]
        self.pasts.take(Event(subject, self._sequence, AT, fact, b""))

    def asked(self, run: str, agent: str, *, first: bool = False, task: Task | None = None) -> None:
        self.tell(run, "request", "router", Request(text=f"question {run}", first=first))
        self.tell(run, "task", agent, task or Task(route=Route(source="embedding")))

    @property
    def decided(self) -> dict[str, Past]:
        return {past.run: past for past in self.pasts.decided}


def past(run: str, agent: str, cost: str = "", tier: str = "", **verdicts: Feedback) -> Past:
    return Past(run, f"question {run}", agent=agent, tier=tier, cost=Decimal(cost) if cost else None, verdicts=verdicts)


def test_a_question_knows_whom_its_conversation_was_with() -> None:
    log = Log()
    log.asked("r1", "billing", first=True)
    log.asked("r2", "shipping")
    log.asked("r3", "together", task=Task(parts=(Part(agent="a", text="x"), Part(agent="b", text="y"))))
    log.asked("r4", "billing")
    log.asked("r5", "billing", first=True)
    assert [each.partner for each in log.decided.values()] == ["", "billing", "shipping", "b", ""]


def test_delegated_runs_and_questions_that_nobody_got_are_left_out() -> None:
    log = Log()
    log.tell("r1", "request", "router", Request(text="refused"))
    log.asked("r2", "billing")
    log.tell("r3", "task", "shipping", Task(parent=Parent(run="r2", agent="billing", step="1")))  # type: ignore[arg-type]
    log.tell("r2", "task", "shipping", Task(parent=Parent(run="r9", agent="billing", step="1")))  # type: ignore[arg-type]
    assert list(log.decided) == ["r2"]
    assert log.decided["r2"].agent == "billing"


def test_the_last_word_of_each_user_counts_and_another_runs_answer_says_nothing_of_cost() -> None:
    log = Log()
    for run in ("r1", "r2"):
        log.asked(run, "billing")
    log.tell("r1", "answer", "client", Answer(cost="0.5"))
    log.tell("r2", "answer", "client", Answer(cost="0.5", source="cache"))
    log.tell("r1", "feedback", "ledger", Feedback(verdict=-1, agent="shipping", by="ada"))
    log.tell("r1", "feedback", "ledger", Feedback(verdict=1, by="bob"))
    log.tell("r1", "feedback", "ledger", Feedback(verdict=-1, agent="sales", by="ada"))
    one, two = log.decided.values()
    assert (one.cost, two.cost) == (Decimal("0.5"), None)
    assert (one.corrected, one.verdict) == ("sales", 0)


def test_changes_are_counted_and_those_with_feedback_stand_first() -> None:
    pasts = [
        past("r1", "a"),
        past("r2", "a"),
        past("r3", "a", ada=Feedback(verdict=1)),
        past("r4", "a", ada=Feedback(verdict=-1, agent="b")),
        past("r5", "a", ada=Feedback(verdict=-1)),
        past("r6", "b"),
    ]
    decisions = [Decision("a")] + [Decision("b", ms=2.0)] * 4 + [Decision("", refusal="nobody_fits")]
    found = report(pasts, decisions, decisions)
    assert (found.questions, found.agreed) == (6, 1)
    assert found.moves == (("a", "b", 4), ("b", "(refused)", 1))
    assert [(each.past.run, each.right) for each in found.changes] == [
        ("r3", False),
        ("r4", True),
        ("r5", None),
        ("r2", None),
        ("r6", None),
    ]


@pytest.mark.parametrize(("verdict", "tier", "right"), [(-1, "large", True), (-1, "small", None), (1, "large", None)])
def test_a_larger_tier_is_right_where_the_answer_was_bad(verdict: int, tier: str, right: bool | None) -> None:
    change = Change(past("r", "a", tier="small", ada=Feedback(verdict=verdict)), Decision("a", tier))
    assert change.right is right


def test_cost_is_by_the_mean_of_agent_and_tier() -> None:
    pasts = [
        past("r1", "a", "0.1", "small"),
        past("r2", "a", "0.3", "small"),
        past("r3", "a", "1", "large"),
        past("r4", "b", "0.5"),
        past("r5", "c"),
    ]
    decisions = [
        Decision("a", "large"),
        Decision("b", "large"),
        Decision("", refusal="nobody_fits"),
        Decision("c"),
        Decision("b"),
    ]
    found = report(pasts, decisions, decisions)
    cost = found.cost
    assert (cost.decided, cost.candidate, cost.unknown) == (Decimal("1.4"), Decimal("1.5"), 2)
    assert found.as_data()["cost"] == {"decided": "1.4", "candidate": "1.5", "unknown": 2}


def test_percentiles_are_of_the_nearest_rank() -> None:
    values = [float(each) for each in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 95), percentile([7.0], 95), percentile([], 50)) == (50, 95, 7, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("router_hart = 0.5", "Did you mean `router_hard`"),
        ("[routes.billing]\nexample = []", "Did you mean `examples`"),
        ("routes = 3", "routes is not a table"),
        ("[routes]\nbilling = 3", "Write [routes.billing]"),
        ("router_hard =", "is not TOML"),
    ],
)
def test_a_candidate_that_cannot_be_read_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "candidate.toml"
    file.write_text(text)
    with pytest.raises(InvalidSettings) as error:
        candidate_of(file)
    assert said in str(error.value)


def test_a_candidate_is_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "candidate.toml"
    file.write_text('router_hard = 0.7\n[routes.billing]\nexamples = ["a"]\n')
    assert candidate_of(file) == {"router_hard": 0.7, "routes": {"billing": {"examples": ["a"]}}}
    assert candidate_of(None) == {}
