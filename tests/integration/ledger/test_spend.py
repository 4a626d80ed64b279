"""What was spent, by whom and on what: as much as stands on the log, however it is split."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from tests.integration.ledger.by_hand import WAYS, Bill, Way, bill
from tests.integration.ledger.ledgers import following, read_into, url_of
from tests.integration.ledger.postgres_server import postgres_server
from tests.unit.ledger.story import FREE, GPT, Story, begin, model, prompt
from trunkline.contracts.dialog import ToolCall, Usage
from trunkline.contracts.errors import CallerMistake
from trunkline.contracts.ids import RunId
from trunkline.contracts.messages import Answer, Failure, Model, Note, Parent, Request, Route, Task
from trunkline.contracts.savings import saving
from trunkline.prices import Money, PriceBook
from trunkline.prices.rates import FREE as NOTHING
from trunkline.prices.rates import Rate, Rates
from trunkline_ledger.queries import Queries
from trunkline_ledger.rebuild import Log, rebuild
from trunkline_ledger.store import open_store
from trunkline_ledger.tables import metadata
from trunkline_ledger.views import Spend

ALL = 1000
CHEAP = "house:tiny"
SOURCES = ("embedding", "only_agent", "asked_for", f"model:{CHEAP}")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty one."""
    if request.param == "sqlite":
        return url_of(tmp_path / "ledger.db")
    address: str = request.getfixturevalue("server")
    async with open_store(address) as store, store.writing() as connection:
        for table in metadata.sorted_tables:
            await connection.execute(text(f"TRUNCATE {table.name}"))
    return address


@asynccontextmanager
async def asking(url: str, story: Story) -> AsyncIterator[Queries]:
    await read_into(url, story)
    async with open_store(url) as store:
        yield Queries(store)


def an_amount(chance: random.Random) -> str:
    """Often one that cannot be split evenly, and that no float is."""
    return str(Money(chance.randrange(1, 10 ** chance.choice([1, 6, 12, 16]))))


class Town:
    """A log of many users: whatever can happen to a model call happens to some."""

    def __init__(self, seed: int, runs: int = 60) -> None:
        self.story = Story(step_ms=60_000 * 7)
        self._chance = random.Random(seed)
        for number in range(runs):
            self._request(f"run-{number}")

    def _request(self, run: str) -> None:
        chance, story = self._chance, self.story
        where = {"run": run, "conversation": f"c-{chance.randrange(12)}"}
        user = chance.choice(["ada", "Bob", "", "мария", "a'; DROP TABLE runs --"])
        story.tell("request.router.0", Request(text="?", user=user), **where)
        if chance.random() < 0.3:
            intent = {"model": CHEAP, "reserved": an_amount(chance)}
            story.tell("note.router.classify", Note(what="classify", data=intent), **where)
            data = {"model": CHEAP, "cost": an_amount(chance), "prices": "v1", "label": "math", "confidence": 0.9}
            if chance.random() < 0.7:
                story.tell("note.router.classified", Note(what="classified", data=data), **where)
        if chance.random() < 0.1:
            story.tell("note.router.saved", saving("answer_cache", cost=an_amount(chance), of="run-0"), **where)
            if chance.random() < 0.7:
                story.tell("answer.client.0", Answer(agent="math", text="4", source="cache", cost="0"), **where)
                return
        story.tell("task.math.0", Task(user=user, route=Route(source=chance.choice(SOURCES))), **where)
        self._turns(where, "math")
        if chance.random() < 0.2:
            story.tell("note.math.saving-tier", saving("tier", cost="0", extra=an_amount(chance)), **where)
        if chance.random() < 0.3:
            child = {"run": f"{run}-child", "conversation": where["conversation"]}
            parent = Parent(run=RunId(run), agent="math", step="9", root=run)
            story.tell(
                "task.clerk.0", Task(user="not to be believed", route=Route(source="delegated"), parent=parent), **child
            )
            self._turns(child, "clerk")
        if chance.random() < 0.9:
            story.tell("answer.client.0", Answer(agent="math", text="4"), **where)

    def _turns(self, where: dict[str, str], agent: str) -> None:
        for step in range(1, self._chance.randrange(2, 5)):
            self._turn(where, agent, str(step))

    def _turn(self, where: dict[str, str], agent: str, step: str) -> None:
        """Some attempts that failed or were lost, then one that comes back, mostly."""
        chance, tell = self._chance, self.story.tell
        tools = tuple(
            ToolCall(id=str(each), tool=chance.choice(["add", "find", "say"]))
            for each in range(chance.choice([0, 0, 1, 3]))
        )
        attempt = 1
        lost: list[int] = []
        while True:
            name = chance.choice([GPT, CHEAP])
            reserved = an_amount(chance) if chance.random() < 0.8 else ""
            tell(f"prompt.{agent}.{step}-{attempt}", prompt(attempt, model=name, reserved=reserved), **where)
            fate = chance.random()
            if fate < 0.15:
                said = {"model": name, "code": "model_failed", "next": name, **self._cost_of_failure()}
                tell(f"note.{agent}.retry-{step}-{attempt}", Note(what="retry", data=said), **where)
            elif fate < 0.3:
                lost.append(attempt)
            else:
                break
            attempt += 1
        if chance.random() < 0.08:
            return
        if chance.random() < 0.05:  # it failed, that was noted, and then the run was cancelled
            said = {"model": name, "code": "model_failed", "next": name, **self._cost_of_failure()}
            tell(f"note.{agent}.retry-{step}-{attempt}", Note(what="retry", data=said), **where)
        fact = replace(model(attempt, name=name), calls=tools, cost=an_amount(chance), prices="v1")
        fact = chance.choice([fact, fact, fact, self._from_cache(fact), self._refused(fact), self._in_the_dark(fact)])
        tell(f"model.{agent}.{step}", fact, **where)
        if lost and chance.random() < 0.5:
            said = {"model": name, "usage": {"input_tokens": 3}, "cost": an_amount(chance), "prices": "v1"}
            tell(f"note.{agent}.unused-{step}-{lost[0]}", Note(what="unused", data=said), **where)

    def _cost_of_failure(self) -> dict[str, object]:
        return self._chance.choice(
            [{"spent": False}, {"spent": True}, {"cost": an_amount(self._chance), "prices": "v1"}]
        )

    def _from_cache(self, fact: Model) -> Model:
        return replace(fact, source="cache", cost="0", saved=an_amount(self._chance), usage=Usage())

    def _refused(self, fact: Model) -> Model:
        failure = Failure(code="over_budget", message="No.", data={"spent": False})
        return replace(fact, error=failure, cost="0", usage=Usage(), calls=())

    def _in_the_dark(self, fact: Model) -> Model:
        failure = Failure(code="deadline_passed", message="Too late.", data={"spent": True})
        return replace(fact, error=failure, cost="", usage=Usage(), calls=())


def cents(found: Spend) -> dict[str, int]:
    return {each.key: Money.parse(each.spent.cost).pico for each in found.spenders}


def assert_equal(found: Spend, way: Way, own: Bill) -> None:
    spenders = cents(found)
    assert spenders == own.by[way]
    assert (found.total.cost, found.total.calls, found.total.unknown) == (str(Money(own.total)), own.calls, own.unknown)
    assert sum(spenders.values()) == own.total
    assert (found.others, found.rest) == (0, "0")
    amounts = list(spenders.values())
    assert way == "day" or amounts == sorted(amounts, reverse=True)
    assert {each.lever: each.saved for each in found.levers} == {
        lever: str(Money(saved)) for lever, saved in own.saved.items()
    }
    assert found.saved == str(Money(sum(own.saved.values())))


@pytest.mark.parametrize("seed", range(3))
async def test_every_way_to_split_it_adds_up_to_what_stands_on_the_log(database: str, seed: int) -> None:
    story = Town(seed).story
    own = bill(story.messages)
    assert min(own.total, own.unknown, *(len(own.by[way]) - 1 for way in WAYS), len(own.saved)) > 0
    middle = story.messages[len(story.messages) // 3].at
    async with asking(database, story) as queries:
        for way in WAYS:
            assert_equal(await queries.spend(by=way, limit=ALL), way, own)
            part = await queries.spend(by=way, since=middle, until=middle + timedelta(days=1), limit=ALL)
            assert_equal(part, way, bill(story.messages, since=middle, until=middle + timedelta(days=1)))
        assert (await queries.spend(by="lever")).total.cost == str(Money(own.total))


async def test_a_price_change_between_two_calls_and_a_rebuild_by_other_prices_change_no_cent(tmp_path: Path) -> None:
    """What its worker recorded counts: before the change, after it, and whoever reads it later."""
    story = Town(7).story
    for run, cost, version in (("before", "0.000000000001", "v1"), ("after", "1000", "v2")):
        begin(story, run)
        story.tell("prompt.math.1-1", prompt(reserved=cost), run=run)
        story.tell("model.math.1", replace(model(), cost=cost, prices=version), run=run)
        story.tell("prompt.math.2-1", prompt(reserved=cost), run=run)
        story.tell("answer.client.0", Answer(agent="math", text="4"), run=run)
    own, log = bill(story.messages), Log(story.stream, following(story.messages))
    dear = Rates(Rate(10**9), Rate(10**9))
    for name, book in (("own", PriceBook()), ("free", PriceBook({GPT: NOTHING})), ("dear", PriceBook({GPT: dear}))):
        fresh = url_of(tmp_path / f"{name}.db")
        await rebuild(fresh, log, book)
        async with open_store(fresh) as store:
            for way in WAYS:
                assert cents(await Queries(store).spend(by=way, limit=ALL)) == own.by[way]


def at(story: Story, moment: datetime) -> None:
    """The next message comes then."""
    story.step_ms = (moment - STORY_BEGINS).total_seconds() * 1000 / (len(story.messages) + 1)


STORY_BEGINS = Story().stream.created


@pytest.mark.parametrize("midnight", [datetime(2026, 7, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)])
async def test_a_call_belongs_to_the_day_on_which_it_was_prompted(database: str, midnight: datetime) -> None:
    """A run straddles midnight, at a month's and at a year's end; a call that was begun before it counts before it."""
    story = Story()
    begin(story)
    moments = {"1": timedelta(microseconds=-1), "2": timedelta(), "3": timedelta(hours=23, minutes=59)}
    for step, moment in moments.items():
        at(story, midnight + moment)
        story.tell(f"prompt.math.{step}-1", prompt())
        at(story, midnight + moment + timedelta(seconds=30))
        story.tell(f"model.math.{step}", replace(model(), cost=f"0.{step}", prices="v1"))
    before, after = f"{midnight - timedelta(days=1):%Y-%m-%d}", f"{midnight:%Y-%m-%d}"
    async with asking(database, story) as queries:
        found = await queries.spend(by="day")
        assert [(each.key, each.spent.cost) for each in found.spenders] == [(after, "0.5"), (before, "0.1")]
        assert (await queries.spend(since=midnight)).total.cost == "0.5"
        assert (await queries.spend(until=midnight)).total.cost == "0.1"


async def test_another_tenants_money_is_not_counted(database: str) -> None:
    story = Story()
    begin(story)
    story.tell("model.math.1", replace(model(), cost="0.5"))
    story.tell_at("trunk.other.c-1.theirs.model.math.1", replace(model(), cost="0.25"))
    story.tell_at("trunk.other.c-1.theirs.note.math.saving-tier", saving("tier", cost="0.125"))
    async with asking(database, story) as queries:
        for tenant, cost, saved in (("main", "0.5", "0"), ("other", "0.25", "0.125"), (None, "0.75", "0.125")):
            found = await queries.spend(by="conversation", tenant=tenant)
            assert (found.total.cost, found.spenders[0].spent.cost, found.saved) == (cost, cost, saved)


async def test_the_dearest_come_first_and_the_rest_is_told(database: str) -> None:
    """Also where it is not the last digit that decides."""
    story = Story()
    costs = {
        "b": "0.000001000001",
        "a": "0.000001",
        "c": "2.000000999999",
        "d": "2.000001",
        "ä": "0.000001",
        "Z": "0.000001",
    }
    for number, (user, cost) in enumerate(costs.items()):
        story.tell("request.router.0", Request(text="?", user=user), run=f"run-{number}")
        story.tell("model.math.1", replace(model(), cost=cost), run=f"run-{number}")
    async with asking(database, story) as queries:
        assert [each.key for each in (await queries.spend(by="user")).spenders] == ["d", "c", "b", "Z", "a", "ä"]
        some = await queries.spend(by="user", limit=2)
        assert ([each.key for each in some.spenders], some.others, some.rest) == (["d", "c"], 4, "0.000004000001")
        assert (await queries.spend(by="user", limit=6)).others == 0
        with pytest.raises(CallerMistake):
            await queries.spend(limit=0)


async def test_what_a_grandchild_spends_is_its_roots_users(database: str) -> None:
    """Unless its line of parents leads nowhere: to itself, or to a run of somebody else."""
    story = Story()
    begin(story, "top")
    for run, parent in (("middle", "top"), ("low", "middle"), ("ring-a", "ring-b"), ("ring-b", "ring-a")):
        fact = Task(user="sly", parent=Parent(run=RunId(parent), agent="math", step="1"))
        story.tell("task.math.0", fact, run=run)
        story.tell("model.math.1", replace(model(), cost="0.25"), run=run)
    sly = Task(user="sly", parent=Parent(run=RunId("top"), agent="math", step="1"))
    story.tell_at("trunk.other.c-9.foreign.task.math.0", sly)
    story.tell_at("trunk.other.c-9.foreign.model.math.1", replace(model(), cost="0.25"))
    async with asking(database, story) as queries:
        found = {each.key: each.spent.cost for each in (await queries.spend(by="user")).spenders}
    assert found == {"ada": "0.5", "sly": "0.75"}


async def test_a_call_under_way_is_told_with_what_it_may_cost(database: str) -> None:
    story = Story()
    begin(story)
    story.tell("prompt.math.1-1", prompt(reserved="0.02"))
    story.tell("prompt.math.2-1", prompt(model=FREE))
    async with asking(database, story) as queries:
        found = await queries.spend()
    total = found.total
    assert (total.cost, total.calls, total.open, total.held, total.unknown) == ("0", 2, 2, "0.02", 0)


async def test_what_the_prompts_were_spared_is_an_estimate_without_an_amount(database: str) -> None:
    story = Story()
    begin(story)
    story.tell("note.math.saving-history", saving("history", tokens=1200))
    story.tell("note.math.saving-history", saving("history", tokens=9999))  # written twice by a plain publisher
    story.tell("note.router.saved", saving("answer_cache", cost="0.000000000003"))
    story.tell("note.math.saving-tier", Note(what="saving", data={"lever": 7}))
    story.tell("answer.client.0", Answer(agent="math", text="4", source="cache", cost="0"))
    async with asking(database, story) as queries:
        found, totals = await queries.spend(by="lever"), await queries.totals()
        summary = (await queries.run(story.messages[0].subject.split(".")[3])).summary
    told = [(each.lever, each.times, each.saved, each.unknown, each.tokens) for each in found.levers]
    assert told == [("answer_cache", 1, "0.000000000003", 0, 0), ("history", 1, "0", 1, 1200)]
    assert (found.saved, found.spenders, found.rest) == ("0.000000000003", (), "0")
    assert (totals.levers, totals.amounts.saved, totals.problems) == (found.levers, found.saved, 1)
    assert (summary.total.saved, summary.total.cost) == (found.saved, "0")


async def test_what_the_prompts_were_spared_has_an_amount_where_the_price_was_known(database: str) -> None:
    story = Story()
    begin(story)
    story.tell("note.math.saving-history", saving("history", cost="0.000000000007", tokens=3))
    story.tell("note.math.saving-tools", saving("tools", cost="0", extra="0.000000000002", tokens=5))
    story.tell("note.math.saving-results", saving("results", tokens=9))
    async with asking(database, story) as queries:
        found = await queries.spend(by="lever")
    told = [(each.lever, each.saved, each.unknown, each.tokens) for each in found.levers]
    assert told == [("history", "0.000000000007", 0, 3), ("results", "0", 1, 9), ("tools", "-0.000000000002", 0, 5)]
    assert found.saved == "0.000000000005"


async def test_sums_are_exact_far_beyond_64_bits(database: str) -> None:
    story = Story()
    begin(story)
    for step in range(1, 13):
        story.tell(f"model.math.{step}", replace(model(), cost="0.5"))
    async with asking(database, story) as queries:
        async with open_store(database) as store, store.writing() as connection:
            await connection.execute(text(f"UPDATE model_calls SET cost = {2**63 - 1}"))
            await connection.execute(text(f"UPDATE asked_tools SET cost = {2**63 - 1}"))
        for way in WAYS:
            (spender,) = (await queries.spend(by=way)).spenders
            assert spender.spent.cost == "110680464.442257309684"
