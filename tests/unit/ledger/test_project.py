"""What the ledger makes of a run's events."""

import pytest
from msgspec.structs import replace

from tests.unit.ledger.story import (
    FREE,
    GPT,
    MODEL_COST,
    MODEL_USAGE,
    RUN,
    START,
    Story,
    begin,
    delegated_run,
    event,
    model,
    one_tool_run,
    prompt,
    rows_of,
    tool_result,
)
from trunkline.contracts.codec import encode
from trunkline.contracts.dialog import ToolCall, Usage
from trunkline.contracts.errors import BadMessage
from trunkline.contracts.messages import (
    Answer,
    Approval,
    Call,
    Cancel,
    Decision,
    Failure,
    Feedback,
    Note,
    Request,
    Resources,
    Result,
    Started,
    Task,
)
from trunkline.contracts.savings import saving
from trunkline.prices import Money, PriceBook
from trunkline.prices.rates import Rate, Rates
from trunkline_ledger.project import Row, RunRows, project
from trunkline_ledger.rows import AskedToolRow, RunRow


def run_of(story: Story, run: str = RUN) -> RunRow:
    row = rows_of(story, run).run
    assert row is not None
    return row


def test_a_run_with_one_tool_is_counted_timed_and_paid() -> None:
    story = Story(step_ms=10)
    one_tool_run(story)
    row = run_of(story)
    assert (row.status, row.agent, row.user, row.question) == ("answered", "math", "ada", "What is 2 + 2?")
    assert (row.events, row.model_calls, row.tool_calls, row.takeovers, row.lost_calls) == (10, 2, 1, 0, 0)
    assert (row.input_tokens, row.output_tokens, row.cache_read_tokens) == (2000, 200, 800)
    assert str(Money(row.cost)) == "0.006"
    assert row.cost_known
    assert (row.route_ms, row.queue_ms, row.model_ms, row.tool_ms, row.total_ms) == (10, 10, 20, 20, 90)
    assert (row.route_confidence, row.route_source) == (0.75, "examples")


def test_a_tool_call_says_how_long_it_waited_ran_and_what_it_used() -> None:
    story = Story(step_ms=10)
    one_tool_run(story)
    (call,) = rows_of(story).tool_calls.values()
    assert (call.tool, call.agent, call.status) == ("math.add", "math", "done")
    assert (call.elapsed_ms, call.queue_ms, call.duration_ms, call.cpu_ms) == (20, 10, 6.5, 1.5)
    assert (call.isolation, call.executor, call.max_rss_kib) == ("zygote", "x-1", 2048)


def test_a_tool_that_only_reads_waited_while_it_did_not_run() -> None:
    story = Story(step_ms=10)
    story.tell("call.math__add.2", Call(agent="math"))
    story.tell("result.math.2", tool_result())
    (call,) = rows_of(story).tool_calls.values()
    assert (call.elapsed_ms, call.queue_ms) == (10, 3.5)


def test_a_delegated_run_is_a_run_of_its_own_with_a_parent() -> None:
    story = Story()
    child = delegated_run(story)
    parent, below = run_of(story), run_of(story, child)
    assert (below.parent, below.parent_step, below.agent, below.status) == (RUN, "2", "math", "answered")
    assert (below.question, below.user, str(Money(below.cost))) == ("2 + 2?", "ada", MODEL_COST)
    assert (parent.parent, parent.tool_calls, str(Money(parent.cost))) == (None, 0, MODEL_COST)


def test_a_run_in_flight_has_paid_only_for_what_came_back() -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt(reserved="0.50"))
    rows = rows_of(story)
    assert rows.run is not None
    assert (rows.run.status, rows.run.model_calls, rows.run.cost, rows.run.cost_known) == ("running", 1, 0, True)
    assert rows.model_calls["1", 1].outcome == "open"


def test_a_takeover_counts_the_lost_call_as_spent() -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt(reserved="0.02"))
    story.tell("prompt.math.1-2", prompt(2, reserved="0.02"))
    story.tell("model.math.1", replace(model(2), cost=MODEL_COST))
    story.tell("answer.client.0", Answer(agent="math", text="4"))
    rows = rows_of(story)
    first, second = rows.model_calls["1", 1], rows.model_calls["1", 2]
    assert (first.outcome, first.paid_without_result, str(Money(first.cost or 0))) == ("lost", True, "0.02")
    assert (second.outcome, second.paid_without_result, str(Money(second.cost or 0))) == ("returned", False, MODEL_COST)
    assert rows.run is not None
    assert (rows.run.takeovers, rows.run.lost_calls, str(Money(rows.run.cost))) == (1, 1, "0.023")


def test_the_first_attempt_may_come_back_after_it_was_taken_over() -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt(reserved="0.02"))
    story.tell("prompt.math.1-2", prompt(2, reserved="0.02"))
    story.tell("model.math.1", model(1))
    rows = rows_of(story)
    assert [row.outcome for row in rows.model_calls.values()] == ["returned", "lost"]


def failed_attempt(story: Story, attempt: int, **data: object) -> None:
    said = {"model": GPT, "code": "model_failed", "latency_ms": 7.5, "wait_ms": 120, "next": GPT} | data
    story.tell(f"note.math.retry-1-{attempt}", Note(what="retry", data=said))


def test_a_failed_attempt_that_another_follows_is_a_call_of_its_own() -> None:
    """Nobody took over, and nothing is lost: the provider refused it, so that it cost nothing."""
    story = Story(step_ms=10)
    begin(story)
    story.tell("prompt.math.1-1", prompt(reserved="0.02"))
    failed_attempt(story, 1, spent=False)
    story.tell("prompt.math.1-2", replace(prompt(2), delivery=1))
    story.tell("model.math.1", replace(model(2), cost=MODEL_COST))
    story.tell("answer.client.0", Answer(agent="math", text="4"))
    rows = rows_of(story)
    first, second = rows.model_calls["1", 1], rows.model_calls["1", 2]
    assert (first.outcome, first.error, first.paid_without_result) == ("retried", "model_failed", False)
    assert (first.cost, first.cost_known, first.elapsed_ms, first.latency_ms) == (0, True, 10, 7.5)
    assert (second.outcome, str(Money(second.cost or 0))) == ("returned", MODEL_COST)
    assert rows.run is not None
    assert (rows.run.model_calls, rows.run.takeovers, rows.run.lost_calls) == (2, 0, 0)
    assert (str(Money(rows.run.cost)), rows.run.cost_known) == (MODEL_COST, True)


@pytest.mark.parametrize(
    ("said", "cost"),
    [
        ({"spent": False}, "0"),
        ({"spent": True}, None),
        ({}, None),
        ({"usage": {"input_tokens": 1000, "output_tokens": 100, "cache_read_tokens": 400}}, MODEL_COST),
        ({"usage": {"input_tokens": 1000}, "cost": "0.5", "prices": "of then"}, "0.5"),
    ],
    ids=["refused", "may have cost", "nobody says", "counted", "recorded"],
)
def test_what_a_failed_attempt_cost(said: dict[str, object], cost: str | None) -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt())
    failed_attempt(story, 1, **said)
    row = rows_of(story).model_calls["1", 1]
    assert (row.cost if row.cost is None else str(Money(row.cost)), row.cost_known) == (cost, cost is not None)


def test_what_was_recorded_is_what_a_call_cost_whatever_the_ledger_s_prices_are() -> None:
    """Two workers with other prices make one run, and a third one knew no price: that call the ledger prices itself."""
    story = Story()
    begin(story)
    for step, fact in enumerate(
        (
            replace(model(), cost="0.1", prices="of one"),
            replace(model(), cost="0.000000000001", prices="of the other"),
            model(),
        ),
        start=1,
    ):
        story.tell(f"model.math.{step}", fact)
    dear = PriceBook({GPT: Rates(Rate(10**6), Rate(10**6))})
    rows = rows_of(story, prices=dear)
    assert rows.run is not None
    assert [row.prices for row in rows.model_calls.values()] == ["of one", "of the other", dear.version]
    assert str(Money(rows.run.cost)) == "0.101100000001"


def test_a_price_of_the_model_that_was_asked_holds_for_the_one_that_served_it() -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt(model="house:m"))
    story.tell("model.math.1", model(name="house:/srv/m.gguf", usage=Usage(input_tokens=5)))
    row = rows_of(story, prices=PriceBook({"house:m": Rates(Rate(7), Rate(7))})).model_calls["1", 1]
    assert (row.cost, row.cost_known) == (35, True)


@pytest.mark.parametrize(("spent", "known"), [(True, False), (False, True)])
def test_a_last_failure_says_itself_whether_it_may_have_cost_something(spent: bool, known: bool) -> None:
    story = Story()
    failure = Failure(code="cancelled", message="Stopped.", data={"spent": spent})
    story.tell("model.math.1", replace(model(usage=Usage()), error=failure))
    assert run_of(story).cost_known is known


def test_a_worker_that_goes_on_after_anothers_failure_took_over() -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt())
    failed_attempt(story, 1, spent=False)
    story.tell("prompt.math.1-2", replace(prompt(2), worker="w-2"))
    assert run_of(story).takeovers == 1


@pytest.mark.parametrize("step", ["retry-1-2", "retry-1-x", "retry-9-1", "1-1", "retry-", f"retry-1-{'9' * 50}"])
def test_a_note_of_an_attempt_that_nobody_knows_changes_no_call(step: str) -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt())
    story.tell(f"note.math.{step}", Note(what="retry", data={"spent": False}))
    assert rows_of(story).model_calls["1", 1].outcome == "open"


@pytest.mark.parametrize("data", [{"usage": "much"}, {"latency_ms": -1}, {"spent": "no"}, {"code": 7}])
def test_a_failed_attempt_that_cannot_be_believed(data: dict[str, object]) -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt())
    failed_attempt(story, 1, **data)
    with pytest.raises(BadMessage):
        rows_of(story)


def test_a_lost_call_without_a_reservation_has_an_unknown_cost() -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt())
    story.tell("answer.client.0", Answer(error=Failure(code="deadline_passed", message="Late.")))
    rows = rows_of(story)
    lost = rows.model_calls["1", 1]
    assert (lost.outcome, lost.cost, lost.cost_known) == ("lost", None, False)
    assert rows.run is not None
    assert not rows.run.cost_known


def test_a_late_model_reply_replaces_what_was_counted_as_lost() -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt())
    story.tell("answer.client.0", Answer(error=Failure(code="deadline_passed", message="Late.")))
    story.tell("model.math.1", model())
    row = run_of(story)
    assert (row.lost_calls, row.model_calls, str(Money(row.cost)), row.cost_known) == (0, 1, MODEL_COST, True)
    assert row.status == "failed"


def test_a_failed_run_bears_the_code_of_its_failure() -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt())
    story.tell("model.math.1", model(error="model_failed", usage=Usage()))
    story.tell("answer.client.0", Answer(error=Failure(code="model_failed", message="No.")))
    rows = rows_of(story)
    assert rows.run is not None
    assert (rows.run.status, rows.run.failure, rows.run.cost, rows.run.cost_known) == (
        "failed",
        "model_failed",
        0,
        True,
    )
    assert (rows.model_calls["1", 1].outcome, rows.model_calls["1", 1].error) == ("failed", "model_failed")


def test_a_model_call_that_ran_out_of_time_may_have_cost_something() -> None:
    story = Story()
    story.tell("model.math.1", model(error="deadline_passed", usage=Usage()))
    assert not run_of(story).cost_known


def test_a_reply_without_tokens_has_an_unknown_cost_unless_it_is_free() -> None:
    story = Story()
    story.tell("model.math.1", model(usage=Usage()), run="paid")
    story.tell("model.math.1", model(usage=Usage(), name=FREE), run="free")
    assert not run_of(story, "paid").cost_known
    assert run_of(story, "free").cost_known


def test_a_cancelled_run_stays_cancelled_unless_it_was_answered_after_all() -> None:
    story = Story()
    begin(story)
    story.tell("cancel.all.0", Cancel(by="ada"))
    assert run_of(story).status == "cancelled"
    failed = Answer(error=Failure(code="run_failed", message="The run was cancelled."))
    answers = (("cancelled", failed), ("answered", Answer(text="4")))
    for status, answer in answers:
        told = Story(messages=list(story.messages))
        told.tell("answer.client.0", answer)
        assert run_of(told).status == status


@pytest.mark.parametrize("code", ["deadline_passed", "queue_timeout"])
def test_a_run_that_the_platform_stopped_has_failed(code: str) -> None:
    story = Story()
    begin(story)
    story.tell("cancel.all.0", Cancel(code=code, reason="too late"))
    assert run_of(story).status == "running"
    story.tell("answer.client.0", Answer(error=Failure(code=code, message="too late")))
    assert (run_of(story).status, run_of(story).failure) == ("failed", code)


def test_the_first_answer_counts() -> None:
    story = Story()
    one_tool_run(story)
    before = run_of(story)
    story.tell("answer.client.1", Answer(error=Failure(code="x", message="x")))
    story.tell("cancel.all.0", Cancel(by="late"))
    after = run_of(story)
    assert (after.status, after.answered_at, after.failure) == ("answered", before.answered_at, None)


def test_an_approval_waits_for_its_decision() -> None:
    story = Story()
    story.tell("call.math__add.2", Call(agent="math"))
    story.tell("approval.math__add.2", Approval(arguments={}, arguments_hash="h"))
    assert rows_of(story).tool_calls["2"].status == "waiting"
    story.tell("decision.math__add.2", Decision(verdict="denied", by="bob", arguments_hash="h"))
    story.tell("result.math.2", tool_result("denied"))
    row = rows_of(story).tool_calls["2"]
    assert (row.status, row.verdict, row.decided_by, row.error) == ("failed", "denied", "bob", "denied")


def test_a_call_in_doubt_waits_for_who_knows_what_became_of_it() -> None:
    story = Story()
    story.tell("call.math__add.2", Call(agent="math"))
    story.tell("approval.math__add.2", Approval(arguments={}, arguments_hash="h"))
    story.tell("decision.math__add.2", Decision(verdict="approved", by="bob", arguments_hash="h"))
    story.tell("started.math__add.2-1", Started(executor="x", delivery=1))
    story.tell("approval.math__add.doubt-2-1", Approval(arguments={}, arguments_hash="h", reason="in_doubt"))
    row = rows_of(story).tool_calls["2"]
    assert (row.status, row.verdict, row.decision_sequence) == ("in_doubt", "", None)
    story.tell("decision.math__add.doubt-2-1", Decision(verdict="retry", by="eve", arguments_hash="h"))
    story.tell("started.math__add.2-2", Started(executor="y", delivery=1, attempt=2))
    assert rows_of(story).tool_calls["2"].status == "started"
    story.tell("result.math.2", tool_result())
    row = rows_of(story).tool_calls["2"]
    assert (row.status, row.verdict, row.decided_by) == ("done", "retry", "eve")
    assert list(rows_of(story).tool_calls) == ["2"]


def test_a_tool_that_started_and_never_came_back_is_lost_when_the_run_ends() -> None:
    story = Story()
    story.tell("call.math__add.2", Call(agent="math"))
    story.tell("started.math__add.2-1", Started(executor="x", delivery=1))
    story.tell("answer.client.0", Answer(error=Failure(code="deadline_passed", message="Late.")))
    assert rows_of(story).tool_calls["2"].status == "lost"


def test_sleeping_is_not_a_tool_call() -> None:
    story = Story()
    story.tell("call.timer.2", Call(agent="math", arguments={"seconds": 1}))
    story.tell("result.math.2", Result())
    assert rows_of(story).tool_calls == {}


@pytest.mark.parametrize("kind", ["model", "result", "answer", "prompt", "call", "started"])
def test_an_event_without_its_predecessors_still_makes_its_rows(kind: str) -> None:
    facts = {
        "model": ("model.math.1", model()),
        "result": ("result.math.2", tool_result()),
        "answer": ("answer.client.0", Answer(text="4")),
        "prompt": ("prompt.math.1-1", prompt()),
        "call": ("call.math__add.2", Call(agent="math")),
        "started": ("started.math__add.2-1", Started(executor="x", delivery=1)),
    }
    story = Story()
    story.tell(*facts[kind])
    row = run_of(story)
    assert (row.events, row.opened_at, row.requested_at) == (1, story.messages[0].at, None)


def test_a_run_takes_as_long_as_its_request_waits_for_its_answer() -> None:
    story = Story(step_ms=10)
    story.tell("prompt.math.1-1", prompt())
    begin(story)
    story.tell("answer.client.0", Answer(text="4"))
    assert run_of(story).total_ms == 20


def test_remarks_on_a_run_that_nobody_knows_make_no_run() -> None:
    story = Story()
    story.tell("note.router.1", Note(what="refused"))
    story.tell("feedback.ledger.0", Feedback(verdict=1))
    story.tell("cancel.all.0", Cancel())
    assert rows_of(story).run is None


def test_the_users_verdict_is_kept() -> None:
    story = Story()
    one_tool_run(story)
    story.tell("feedback.ledger.0", Feedback(verdict=-1))
    story.tell("feedback.ledger.1", Feedback(verdict=99))
    assert run_of(story).verdict == -1


def test_unknown_fields_change_nothing() -> None:
    plain, strange = Story(), Story()
    one_tool_run(plain)
    for message in plain.messages:
        strange.tell_at(message.subject, message.data[:-1] + b',"mood":{"level":[1,2]}}')
    assert rows_of(plain) == rows_of(strange)


def test_a_publisher_may_leave_out_all_but_the_words() -> None:
    story = Story()
    story.tell("request.router.0", b'{"text": "hello"}')
    row = run_of(story)
    assert (row.question, row.user, row.status) == ("hello", "", "running")


def test_text_is_cut_and_bears_no_nul() -> None:
    story = Story()
    story.tell("request.router.0", Request(text="\0" + "x" * 5000))
    question = run_of(story).question
    assert len(question) == 200
    assert "\0" not in question


@pytest.mark.parametrize(
    ("where", "fact"),
    [
        ("model.math.1", model(usage=Usage(input_tokens=10**30))),
        ("model.math.1", model(usage=Usage(output_tokens=-1))),
        ("model.math.1", replace(model(), latency_ms=-1.0)),
        ("model.math.1", replace(model(), cost="-1")),
        ("model.math.1", replace(model(), cost="NaN")),
        ("model.math.1", replace(model(), cost="10000.000001")),
        ("model.math.1", replace(model(), attempt=2**70)),
        ("prompt.math.1-1", prompt(-1)),
        ("result.math.2", Result(tool="t", resources=Resources(max_rss_kib=2**65))),
        ("result.math.2", Result(tool="t", duration_ms=1e300)),
    ],
)
def test_impossible_numbers_are_not_believed(where: str, fact: Answer) -> None:
    story = Story()
    with pytest.raises(BadMessage):
        project(RunRows(), event(story.tell(where, fact)), PriceBook())


def test_a_run_id_that_is_in_use_is_not_believed() -> None:
    story = Story()
    begin(story)
    rows = rows_of(story)
    foreign = story.tell("answer.client.0", Answer(text="stolen"), conversation="c-2")
    with pytest.raises(BadMessage, match="belongs to main"):
        project(rows, event(foreign), PriceBook())


def test_a_run_is_not_its_own_parent() -> None:
    story = Story()
    body = b'{"parent": {"run": "%s", "agent": "math", "step": "1"}}' % RUN.encode()
    with pytest.raises(BadMessage, match="own parent"):
        project(RunRows(), event(story.tell("task.math.0", body)), PriceBook())


def test_no_run_can_cost_more_than_its_column_holds() -> None:
    story = Story()
    begin(story)
    rows = rows_of(story)
    assert rows.run is not None
    rows.put(replace(rows.run, cost=2**62))
    with pytest.raises(BadMessage, match="cost more"):
        project(rows, event(story.tell("model.math.1", model())), PriceBook())


def test_an_event_that_was_seen_changes_nothing() -> None:
    story = Story()
    one_tool_run(story)
    rows = rows_of(story)
    assert all(project(rows, event(message), PriceBook()) == () for message in story.messages)


def test_the_same_fact_under_two_names_counts_once() -> None:
    story = Story()
    begin(story)
    for agent, usage in (("math", MODEL_USAGE), ("other", Usage(input_tokens=9_000_000))):
        story.tell(f"prompt.{agent}.1-1", prompt())
        story.tell(f"model.{agent}.1", model(usage=usage))
        story.tell("call.math__add.2", Call(agent=agent))
        story.tell(f"result.{agent}.2", tool_result("" if agent == "math" else "late"))
    row = run_of(story)
    assert (row.model_calls, row.tool_calls, row.failed_tool_calls, str(Money(row.cost))) == (1, 1, 0, MODEL_COST)


def test_times_are_the_servers() -> None:
    story = Story()
    message = story.tell("task.math.0", Task())
    row = run_of(story)
    assert row.tasked_at == message.at
    assert row.tasked_at is not None
    assert row.tasked_at > START


def test_the_model_that_served_is_the_one_that_is_paid() -> None:
    story = Story()
    story.tell("prompt.math.1-1", prompt(model="openai:gpt-4o-mini"))
    story.tell("model.math.1", model(name=GPT, usage=MODEL_USAGE))
    call = rows_of(story).model_calls["1", 1]
    assert (call.asked_model, call.model, str(Money(call.cost or 0))) == ("openai:gpt-4o-mini", GPT, MODEL_COST)
    assert encode(call)


def noted(story: Story, where: str, what: str, **data: object) -> None:
    story.tell(f"note.{where}", Note(what=what, data=data))


def test_a_reply_that_came_too_late_is_paid_for_what_it_cost_and_not_for_what_was_reserved() -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt(reserved="0.02"))
    story.tell("prompt.math.1-2", prompt(2, reserved="0.02"))
    story.tell("model.math.1", replace(model(2), cost=MODEL_COST))
    story.tell("answer.client.0", Answer(agent="math", text="4"))
    noted(story, "math.unused-1-1", "unused", model="openai:gpt-4o-1", cost="0.0125", usage={"input_tokens": 7})
    rows = rows_of(story)
    assert rows.run is not None
    row = rows.model_calls["1", 1]
    assert (row.outcome, row.model, row.cost, row.input_tokens) == ("unused", "openai:gpt-4o-1", 12_500_000_000, 7)
    assert (rows.run.lost_calls, str(Money(rows.run.cost)), rows.run.unpriced) == (1, "0.0155", 0)
    noted(story, "math.unused-1-1", "unused", cost="9")
    assert rows_of(story).model_calls["1", 1] == row


def test_an_attempt_that_was_opened_in_vain_cost_nothing() -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt(reserved="0.02"))
    noted(story, "math.unused-1-1", "unused", model=GPT, cost="0", spent=True)
    row = rows_of(story).model_calls["1", 1]
    assert (row.outcome, row.cost, row.paid_without_result) == ("unused", 0, False)


@pytest.mark.parametrize(
    ("said", "cost"),
    [
        ({"spent": False}, 0),
        ({"spent": True}, 20_000_000_000),
        ({}, 20_000_000_000),
        ({"cost": "0.5"}, 500_000_000_000),
    ],
)
def test_a_failure_counts_as_its_budgets_count_it(said: dict[str, object], cost: int) -> None:
    """What was reserved, unless the log knows better; whatever this process thinks of the price."""
    failed, noticed = Story(), Story()
    for story in (failed, noticed):
        begin(story)
        story.tell("prompt.math.1-1", prompt(reserved="0.02"))
    noted(noticed, "math.retry-1-1", "retry", code="model_failed", usage={"input_tokens": 1000}, **said)
    spent = {"spent": said["spent"]} if "spent" in said else {"spent": True}
    error = Failure(code="model_failed", message="No.", data=spent)
    failed.tell("model.math.1", replace(model(), error=error, cost=str(said.get("cost", ""))))
    prices = PriceBook({GPT: Rates(Rate(1), Rate(1))})
    for story in (failed, noticed):
        assert rows_of(story, prices=prices).model_calls["1", 1].cost == cost


def test_what_the_router_pays_is_spent_by_the_router() -> None:
    story = Story()
    story.tell("request.router.0", Request(text="?", user="ada"))
    noted(story, "router.classify", "classify", model=GPT, reserved="0.02")
    (open_,) = rows_of(story).model_calls.values()
    assert (open_.agent, open_.outcome, open_.reserved, open_.day) == ("router", "open", 20_000_000_000, "2026-06-01")
    noted(story, "router.classified", "classified", model=GPT, cost="0.001", latency_ms=7.5, label="math")
    (row,) = rows_of(story).model_calls.values()
    assert (row.agent, row.outcome, row.cost, row.spent_at) == ("router", "returned", 10**9, open_.spent_at)
    assert run_of(story).cost == 10**9


def test_a_router_that_died_while_it_asked_has_spent_what_it_reserved() -> None:
    story = Story()
    story.tell("request.router.0", Request(text="?", user="ada"))
    noted(story, "router.classify", "classify", model=GPT, reserved="0.02")
    story.tell("answer.client.0", Answer(error=Failure(code="deadline_passed", message="Too late.")))
    assert (run_of(story).cost, run_of(story).lost_calls) == (20_000_000_000, 1)


def test_a_reply_from_the_cache_costs_nothing_and_saves_what_it_did_cost() -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt())
    story.tell("model.math.1", replace(model(usage=Usage()), source="cache", cost="0", saved="0.003"))
    rows = rows_of(story)
    assert rows.run is not None
    assert (rows.model_calls["1", 1].source, rows.model_calls["1", 1].cost) == ("cache", 0)
    assert [(each.lever, each.cost) for each in rows.savings.values()] == [("model_cache", 3 * 10**9)]
    assert (rows.run.saved, rows.run.cost, rows.run.unpriced) == (3 * 10**9, 0, 0)


def test_a_run_that_was_served_from_the_cache_says_so() -> None:
    story = Story()
    story.tell("request.router.0", Request(text="?", user="ada"))
    story.tell("note.router.saved", saving("answer_cache", cost="0.25", of="run-a"))
    story.tell("answer.client.0", Answer(agent="math", text="4", source="cache", cost="0"))
    row = run_of(story)
    assert (row.agent, row.status, row.source, row.cost, row.answer_cost) == ("math", "answered", "cache", 0, 0)
    assert row.saved == 25 * 10**10


def test_what_was_spent_on_top_in_vain_is_no_saving() -> None:
    """A small tier whose answer did not pass, so that the large one was asked as well."""
    story = Story()
    begin(story)
    story.tell("note.math.saving-tier", saving("tier", cost="0", extra="0.002"))
    assert run_of(story).saved == -2 * 10**9


def test_a_note_of_an_answer_that_was_not_given_in_the_end_saved_nothing() -> None:
    story = Story()
    story.tell("request.router.0", Request(text="?", user="ada"))
    story.tell("note.router.saved", saving("answer_cache", cost="0.25", of="run-a"))
    assert run_of(story).saved == 0
    story.tell("answer.client.0", Answer(agent="math", text="4", cost="0.01"))
    assert run_of(story).saved == 0


def test_what_a_call_cost_is_split_over_the_tools_that_it_asked_for() -> None:
    story = Story()
    begin(story)
    calls = tuple(ToolCall(id=str(place), tool=tool) for place, tool in enumerate(("add", "find", "add")))
    story.tell("model.math.1", replace(model(), calls=calls, cost="0.000000000005"))
    asked = [row for row in project_all(story) if isinstance(row, AskedToolRow)]
    assert [(row.place, row.tool, row.cost) for row in asked] == [(0, "add", 3), (1, "find", 1), (2, "add", 1)]


def test_the_gravest_that_a_limit_did_stays_with_the_run() -> None:
    story = Story()
    begin(story)
    assert run_of(story).budget == ""
    for what in ("budget_warning", "refused", "cheaper"):
        noted(story, f"math.{what}-1-1", what, kind="run")
    assert run_of(story).budget == "refused"


def test_a_correction_goes_with_the_verdict_that_it_came_with() -> None:
    story = Story()
    begin(story)
    story.tell("feedback.ledger.a-1", Feedback(verdict=-1, agent="clerk", by="ada"))
    assert (run_of(story).verdict, run_of(story).correction) == (-1, "clerk")
    story.tell("feedback.ledger.a-2", Feedback(verdict=1, by="ada"))
    assert (run_of(story).verdict, run_of(story).correction) == (1, None)


@pytest.mark.parametrize(
    ("what", "step", "data"),
    [
        ("saving", "saving-tier", {"lever": "tier", "cost": "-1"}),
        ("saving", "saving-tier", {"lever": "tier", "tokens": -1}),
        ("saving", "saving-tier", {"lever": "tier", "cost": "0", "extra": "-1"}),
        ("saving", "saving-tier", {"lever": "tier", "cost": "99999"}),
        ("saving", "saved", {"lever": "answer_cache", "cost": "99999"}),
        ("unused", "unused-1-1", {"cost": "1e9"}),
        ("classified", "classified", {"usage": {"input_tokens": "many"}}),
        ("classify", "classify", {"model": 7}),
    ],
)
def test_a_note_about_money_that_cannot_be_believed_is_refused(what: str, step: str, data: dict[str, object]) -> None:
    story = Story()
    begin(story)
    known = rows_of(story)
    noted(story, f"math.{step}", what, **data)
    with pytest.raises(BadMessage):
        project(known, event(story.messages[-1]), PriceBook())


def project_all(story: Story) -> list[Row]:
    """Every row that was written, in this order."""
    known, found = RunRows(), []
    for message in story.messages:
        for row in project(known, event(message), PriceBook()):
            known.put(row)
            found.append(row)
    return found
