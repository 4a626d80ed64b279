"""The waterfall, from the ledger's own structs by way of JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from trunkline.cli import ledger_json
from trunkline.cli.waterfall import Row, rows_of
from trunkline.cli.waterfall_lines import drawn, lines_of
from trunkline_ledger.views import (
    Amounts,
    ModelCallView,
    RunDetail,
    RunSummary,
    Stages,
    StepView,
    ToolCallView,
    Totals,
)

ZERO = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def summary(**changes: object) -> RunSummary:
    made = RunSummary(
        run="r-1",
        sequence=1,
        tenant="main",
        conversation="c-1",
        user="anna",
        question="What is it?",
        agent="billing",
        status="running",
        parent=None,
        parent_step=None,
        started_at=ZERO,
        answered_at=None,
        last_at=ZERO,
        events=3,
        own=Amounts(),
        total=Amounts(),
        stages=Stages(),
        failure=None,
        route_confidence=0.9,
        route_source="lexical",
        tier="",
        cancelled_by=None,
        verdict=None,
    )
    return msgspec.structs.replace(made, **changes)


def step(sequence: int, kind: str, name: str, step: str, at: float, **more: object) -> StepView:
    made = StepView(
        sequence=sequence, kind=kind, name=name, step=step, at=ZERO + timedelta(milliseconds=at), offset_ms=at
    )
    return msgspec.structs.replace(made, **more)


def model_call(**changes: object) -> ModelCallView:
    made = ModelCallView(
        step="1",
        attempt=1,
        agent="billing",
        model="offline:small",
        worker="w",
        outcome="returned",
        paid_without_result=False,
        input_tokens=1200,
        output_tokens=34,
        cache_read_tokens=0,
        cache_write_tokens=0,
        cost="0.0125",
        cost_known=True,
        prices="",
        elapsed_ms=20.0,
        latency_ms=20.0,
        first_text_ms=None,
        error=None,
    )
    return msgspec.structs.replace(made, **changes)


def tool_call(**changes: object) -> ToolCallView:
    made = ToolCallView(
        step="2",
        tool="invoices.find",
        agent="billing",
        turn=1,
        status="failed",
        elapsed_ms=10.0,
        queue_ms=1.0,
        duration_ms=9.0,
        cpu_ms=1.0,
        max_rss_kib=1,
        output_bytes=1,
        isolation="process",
        executor="e",
        verdict="",
        decided_by="",
        error="it broke",
    )
    return msgspec.structs.replace(made, **changes)


def rows(detail: RunDetail) -> list[Row]:
    read = ledger_json.read(msgspec.json.decode(msgspec.json.encode(detail)), ledger_json.RunDetail)
    return rows_of(read)


STEPS = (
    step(1, "request", "router", "0", 0, duration_ms=2.0, ended_by=2),
    step(2, "task", "billing", "0", 2, duration_ms=3.0, ended_by=3),
    step(3, "prompt", "billing", "1-1", 5, duration_ms=20.0, ended_by=4),
    step(4, "model", "billing", "1", 25),
    step(5, "call", "invoices__find", "2", 26, duration_ms=10.0, ended_by=7),
    step(6, "started", "invoices__find", "2-1", 27, duration_ms=9.0, ended_by=7),
    step(7, "result", "billing", "2", 36),
)


def test_what_opens_and_what_closes_it_is_one_row() -> None:
    found = rows(RunDetail(summary=summary(), steps=STEPS, model_calls=(model_call(),), tool_calls=(tool_call(),)))
    assert [(row.label, row.name, row.start, row.length) for row in found] == [
        ("routing", "router", 0.0, 2.0),
        ("waiting", "billing", 2.0, 3.0),
        ("model", "billing", 5.0, 20.0),
        ("tool", "invoices.find", 26.0, 10.0),
    ]
    assert found[1].said == "lexical, 90% sure"
    assert found[2].said == "$0.0125 · 1,200 + 34 tokens · offline:small"
    assert (found[3].said, found[3].bad) == ("ran 9.0 ms · process · it broke", True)


def test_a_run_under_way_shows_what_it_waits_for() -> None:
    """And one that has ended does not: what was left open is lost."""
    steps = (*STEPS[:2], step(3, "prompt", "billing", "1-1", 5))
    under_way = rows(RunDetail(summary=summary(), steps=steps, model_calls=(model_call(outcome="open"),)))[-1]
    assert (under_way.open, under_way.bad) == (True, False)
    ended = RunDetail(summary=summary(answered_at=ZERO), steps=steps, model_calls=(model_call(outcome="lost"),))
    lost = rows(ended)[-1]
    assert (lost.open, lost.bad) == (False, True)
    assert "nothing came back" in lost.said


def test_a_delegated_run_stands_where_it_began_with_its_steps_below() -> None:
    child = RunDetail(
        summary=summary(
            run="r-2",
            agent="catalog",
            parent="r-1",
            parent_step="2",
            started_at=ZERO + timedelta(milliseconds=6),
            answered_at=ZERO + timedelta(milliseconds=30),
            stages=Stages(total_ms=24.0),
        ),
        steps=(
            step(5, "prompt", "catalog", "1-1", 8, duration_ms=2.0, ended_by=6),
            step(6, "model", "catalog", "1", 10),
        ),
    )
    steps = (*STEPS[:2], step(7, "result", "billing", "2", 31), step(8, "answer", "client", "0", 40))
    found = rows(RunDetail(summary=summary(answered_at=ZERO), steps=steps, children=(child,)))
    assert [(row.depth, row.label, row.name) for row in found[2:]] == [
        (0, "asks", "catalog"),
        (1, "model", "catalog"),
        (0, "answer", "client"),
    ]


def test_an_unreadable_step_stands_among_the_others() -> None:
    broken = step(9, "model", "billing", "9", 7, problem="not a model message")
    assert rows(RunDetail(summary=summary(), steps=(*STEPS, broken)))[-1].said == "not a model message"


def test_bars_stay_in_their_column() -> None:
    """Whatever the proportions: a moment at the very end, a bar over everything, one too short to see."""

    def row(start: float, length: float | None, *, open: bool = False) -> Row:  # noqa: A002  # the field's name
        return Row(start, length, "prompt", "model", "x", "", open=open)

    for bar in (12, 13, 48):
        for start in (0.0, 0.1, 33.3, 99.99, 100.0):
            for length in (None, 0.0, 0.01, 50.0, 100.0):
                assert len(drawn(row(start, length), 100.0, bar)) == bar
                assert drawn(row(start, length), 100.0, bar).strip()
            assert len(drawn(row(start, None, open=True), 100.0, bar)) == bar
    assert drawn(row(0, 100), 100.0, 4) == "━━━━"
    assert drawn(row(50, 50), 100.0, 4) == "  ━━"
    assert drawn(row(12.5, 25), 100.0, 4) == "╺╸  "


def test_an_empty_run_draws_nothing() -> None:
    assert lines_of([], 100) == []
    assert rows(RunDetail(summary=summary())) == []


def test_totals_of_the_ledger_can_be_read() -> None:
    made = Totals(
        sequence=1,
        events=1,
        problems=0,
        gaps=0,
        runs=1,
        by_status={"answered": 1},
        amounts=Amounts(cost="0.5", cost_known=False),
        agents=(),
        models=(),
        tools=(),
        stages={},
    )
    read = ledger_json.read(msgspec.json.decode(msgspec.json.encode(made)), ledger_json.Totals)
    assert (read.amounts.cost, read.amounts.cost_known) == ("0.5", False)


def test_a_note_says_what_it_is_about() -> None:
    steps = (step(1, "note", "billing", "takeover-1-2", 5), step(2, "note", "router", "0", 6))
    assert [row.said for row in rows(RunDetail(summary=summary(), steps=steps))] == ["takeover", ""]
