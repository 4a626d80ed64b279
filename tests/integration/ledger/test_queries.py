"""What the ledger answers."""

from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import delete, func, select

from tests.integration.ledger.ledgers import read_into
from tests.unit.ledger.story import MODEL_COST, RUN, START, Story, begin, delegated_run, everything, model, one_tool_run
from trunkline.contracts.errors import CallerMistake, NotFound
from trunkline.contracts.ids import RunId
from trunkline.contracts.messages import Parent, Task
from trunkline_ledger.queries import Queries
from trunkline_ledger.store import open_store
from trunkline_ledger.tables import runs
from trunkline_ledger.views import RunSummary

STORY = everything()


@pytest.fixture
async def queries(url: str) -> AsyncIterator[Queries]:
    await read_into(url, STORY)
    async with open_store(url) as store:
        yield Queries(store)


async def test_a_run_is_shown_step_by_step(url: str) -> None:
    story = Story(step_ms=10)
    one_tool_run(story)
    await read_into(url, story)
    async with open_store(url) as store:
        detail = await Queries(store).run(RUN)
    assert [(step.kind, step.name, step.step, step.offset_ms, step.duration_ms) for step in detail.steps] == [
        ("request", "router", "0", 0, 10),
        ("task", "math", "0", 10, 10),
        ("prompt", "math", "1-1", 20, 10),
        ("model", "math", "1", 30, None),
        ("call", "math__add", "2", 40, 20),
        ("started", "math__add", "2-1", 50, 10),
        ("result", "math", "2", 60, None),
        ("prompt", "math", "3-1", 70, 10),
        ("model", "math", "3", 80, None),
        ("answer", "client", "0", 90, None),
    ]
    assert [(call.step, call.cost, call.first_text_ms) for call in detail.model_calls] == [
        ("1", MODEL_COST, 3.25),
        ("3", MODEL_COST, 3.25),
    ]
    assert [(call.tool, call.status, call.isolation) for call in detail.tool_calls] == [("math.add", "done", "zygote")]


async def test_a_run_costs_what_its_children_cost_too(queries: Queries) -> None:
    detail = await queries.run("run-b")
    (child,) = detail.children
    assert (detail.summary.own.cost, detail.summary.total.cost) == ("0.003", "0.006")
    assert (child.summary.parent, child.summary.parent_step, child.summary.total.cost) == ("run-b", "2", "0.003")
    assert [step.kind for step in child.steps] == ["task", "prompt", "model", "answer"]
    listed = {run.run: run.total.cost for run in await queries.runs()}
    assert listed["run-b"] == "0.006"


async def test_a_grandchild_counts_too_and_a_circle_of_parents_ends(url: str) -> None:
    story = Story()
    begin(story, "top")
    for run, parent in (("middle", "top"), ("low", "middle"), ("ring-a", "ring-b"), ("ring-b", "ring-a")):
        story.tell("task.math.0", Task(parent=Parent(run=RunId(parent), agent="math", step="1")), run=run)
        story.tell("model.math.1", model(), run=run)
    await read_into(url, story)
    async with open_store(url) as store:
        top, ring = await Queries(store).run("top"), await Queries(store).run("ring-a")
    assert (top.summary.total.cost, top.children[0].children[0].summary.run) == ("0.006", "low")
    assert (ring.summary.total.cost, len(ring.children), ring.children[0].children) == ("0.006", 1, ())


async def test_a_run_of_another_tenant_is_nobodys_child(url: str) -> None:
    story = Story()
    begin(story, "top")
    task = Task(parent=Parent(run=RunId("top"), agent="math", step="1"))
    story.tell_at("trunk.other.c-9.foreign.task.math.0", task)
    story.tell_at("trunk.other.c-9.foreign.model.math.1", model())
    await read_into(url, story)
    async with open_store(url) as store:
        top = await Queries(store).run("top")
        assert (top.summary.total.cost, top.children) == ("0", ())
        with pytest.raises(NotFound):
            await Queries(store).run("foreign", tenant="main")


async def test_a_run_is_found_by_the_beginning_of_its_id(url: str) -> None:
    story = Story()
    for run in ("abc-1", "abc-2", "ABC-3", "abc", "a_c"):
        begin(story, run)
    await read_into(url, story)
    async with open_store(url) as store:
        found = Queries(store)
        assert (await found.run("abc-1")).summary.run == "abc-1"
        assert (await found.run("abc")).summary.run == "abc"
        assert (await found.run("AB")).summary.run == "ABC-3"
        assert (await found.run("a_")).summary.run == "a_c"
        with pytest.raises(CallerMistake, match="abc-1, abc-2"):
            await found.run("abc-")
        for unknown in ("zzz", "", "%", "abc-1x"):
            with pytest.raises(NotFound, match="trunkline runs"):
                await found.run(unknown)


async def test_runs_are_listed_newest_first_page_by_page(queries: Queries) -> None:
    everyone = await queries.runs()
    assert [run.sequence for run in everyone] == sorted((run.sequence for run in everyone), reverse=True)
    pages: list[RunSummary] = []
    before = None
    while page := await queries.runs(limit=2, before=before):
        pages += page
        before = page[-1].sequence
    assert tuple(pages) == everyone


async def test_runs_are_listed_by_what_they_are(queries: Queries) -> None:
    async def ids(**asked: str) -> set[str]:
        return {run.run for run in await queries.runs(**asked)}  # type: ignore[arg-type]  # texts only

    assert await ids(status="failed") == {"run-c"}
    assert await ids(agent="lead") == {"run-b"}
    assert await ids(user="nobody") == set()
    assert await ids(conversation="c-1") == {run.run for run in await queries.runs()}
    asked_by_users = {run.run for run in await queries.runs(children=False)}
    assert len(asked_by_users) == len(await queries.runs()) - 1
    with pytest.raises(CallerMistake):
        await queries.runs(limit=0)


async def test_events_are_found_by_time_kind_agent_and_run(queries: Queries) -> None:
    whole = await queries.events(limit=1000)
    middle = START + timedelta(milliseconds=105)
    assert await queries.events(since=middle, limit=1000) == whole[10:]
    assert await queries.events(until=middle) == whole[:10]
    assert await queries.events(after=10, limit=3) == whole[10:13]
    assert {event.kind for event in await queries.events(kind="prompt")} == {"prompt"}
    assert await queries.events(run="run-a", limit=1000) == tuple(event for event in whole if event.run == "run-a")
    assert {event.run for event in await queries.events(agent="lead")} == {"run-b"}


async def test_totals_add_up(queries: Queries) -> None:
    totals = await queries.totals()
    runs = await queries.runs(limit=1000)
    assert (totals.runs, totals.events, totals.problems) == (len(runs), len(STORY.messages), 4)
    assert totals.by_status == {"answered": 4, "failed": 1, "running": 1}
    assert totals.amounts.model_calls == sum(run.own.model_calls for run in runs)
    assert (totals.amounts.cost, totals.amounts.cost_known) == ("0.035", False)
    assert {model.model: (model.calls, model.lost, model.cost_known) for model in totals.models} == {
        "nobody:unheard-of": (1, 0, False),
        "offline:echo": (2, 0, True),
        "openai:gpt-4o": (6, 1, True),
    }
    assert {agent.agent: agent.runs for agent in totals.agents} == {"lead": 1, "math": 5}
    assert [(tool.tool, tool.calls) for tool in totals.tools] == [("math.add", 2)]
    later = await queries.totals(since=START + timedelta(days=1))
    assert (later.runs, later.amounts.cost, later.stages["total"].p95_ms) == (0, "0", None)


async def test_percentiles_are_by_nearest_rank(url: str) -> None:
    story = Story()
    for number in range(20):
        story.step_ms = 10 + number / 100
        begin(story, f"run-{number}")
    await read_into(url, story)
    async with open_store(url) as store:
        totals = await Queries(store).totals()
        waits = sorted([run.stages.route_ms or 0 for run in await Queries(store).runs()])
    assert (totals.stages["route"].count, len(set(waits))) == (20, 20)
    assert (totals.stages["route"].p50_ms, totals.stages["route"].p95_ms) == (waits[9], waits[18])


async def test_sums_beyond_64_bits_are_exact(url: str) -> None:
    story = Story()
    for number in range(12):
        begin(story, f"run-{number}")
    await read_into(url, story)
    async with open_store(url) as store:
        async with store.writing() as connection:
            await connection.exec_driver_sql(f"UPDATE runs SET cost = {2**62 + 1}")
        totals = await Queries(store).totals()
    assert totals.amounts.cost == "55340232.22112865486"


async def test_an_answer_is_of_one_moment(url: str) -> None:
    await read_into(url, STORY)
    count = select(func.count()).select_from(runs)
    async with open_store(url) as store, store.reading() as before:
        found = (await before.execute(count)).scalar_one()
        async with store.writing() as connection:
            await connection.execute(delete(runs))
        assert (await before.execute(count)).scalar_one() == found > 0
        async with store.reading() as after:
            assert (await after.execute(count)).scalar_one() == 0


async def test_every_answer_is_json_with_money_as_text(queries: Queries) -> None:
    for answer in (await queries.run("run-b"), await queries.totals(), await queries.runs(), await queries.events()):
        assert msgspec.json.encode(answer)
    body = msgspec.json.decode(msgspec.json.encode(await queries.run("run-b")))
    assert body["summary"]["total"]["cost"] == "0.006"
    assert body["model_calls"][0]["cost"] == "0.003"


async def test_the_delegated_run_stands_below_its_parent(url: str) -> None:
    story = Story()
    child = delegated_run(story)
    await read_into(url, story)
    async with open_store(url) as store:
        assert (await Queries(store).run(child)).summary.parent == RUN
