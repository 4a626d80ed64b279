"""Model calls survive their providers: tried again, by the next of a chain, or given up in one clear answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import CountingModel, Platform, kinds
from tests.provider import Provider, Reply, begins, refuses, says
from trunkline import Agent, Run, Say
from trunkline.budget import BudgetSettings
from trunkline.bus import append, fold
from trunkline.bus.clock import ServerClock
from trunkline.client import Progress, TextDelta
from trunkline.contracts.codec import Event
from trunkline.contracts.dialog import ModelQuery, ModelReply
from trunkline.contracts.errors import InvalidSettings, ModelFailed
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Cancel, Model, Note, Prompt, Request, Result, Task
from trunkline.contracts.subjects import RunKey
from trunkline.models import Models, ModelSettings, open_models
from trunkline.models.breaker import Breaker
from trunkline.worker import WorkerSettings, working
from trunkline_agents.app import agents_service
from trunkline_agents.settings import AgentsSettings

HOUSE, SPARE = "house:m", "spare:m"
QUICK = WorkerSettings(ack_wait=1.0, drain_seconds=0.0)
SOON = "retry-after-ms: 1\r\n"


@dataclass
class Providers:
    """Two providers, and the models of a process that may ask them."""

    house: Provider
    spare: Provider
    models: Models


Opened = Callable[..., contextlib.AbstractAsyncContextManager[Providers]]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Opens the providers `house` and `spare`, and the models over them; settings are those of `[models]`."""

    @contextlib.asynccontextmanager
    async def open_both(
        house: Sequence[Reply], spare: Sequence[Reply] = (), **settings: float
    ) -> AsyncIterator[Providers]:
        async with Provider(house).running() as first, Provider(spare or [says("Spare.")]).running() as second:
            lines = ["[models]", *(f"{name} = {value}" for name, value in settings.items())]
            lines += ["[budgets]", 'unknown_price = "allow"']
            for name, provider in (("house", first), ("spare", second)):
                lines += [f"[providers.{name}]", f'base_url = "{provider.url}/v1"']
            config = tmp_path / "trunkline.toml"
            config.write_text("\n".join(lines))
            models = open_models(ModelSettings.load(config))
            yield Providers(first, second, models)
            await models.close()

    return open_both


@contextlib.asynccontextmanager
async def hosting(
    platform: Platform, models: Models | ScriptedModel, *agents: Agent, settings: WorkerSettings | None = None
) -> AsyncIterator[None]:
    names = {agent.name for agent in agents}
    budgets = BudgetSettings(unknown_price="allow")
    async with working(platform.bus, agents, models, models.resolve, budgets=budgets, settings=settings):
        await wait_until(lambda: names <= set(platform.routes.agents()), f"the router knows {names}")
        yield


@dataclass
class ScriptedModel(CountingModel):
    """Does to each call what the script says for it: fails with this error, or hangs. Then it is the offline model."""

    script: Sequence[Exception | None] = ()
    hanging: int = 0
    names: list[str] = field(default_factory=list)

    def resolve(self, name: str) -> tuple[str, ...]:
        return (name,)

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        self.names.append(query.model)
        if len(self.names) > len(self.script):
            return ModelReply(model=query.model, text="At last.")
        failure = self.script[len(self.names) - 1]
        if failure:
            raise failure
        self.hanging += 1
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody lets it go")


def busy() -> ModelFailed:
    return ModelFailed("It is busy.", "Wait.", retryable=True, spent=False, retry_after=0.001)


def notes(events: Sequence[Event]) -> list[Note]:
    return [event.fact for event in events if isinstance(event.fact, Note)]


def prompts(events: Sequence[Event]) -> list[Prompt]:
    return [event.fact for event in events if isinstance(event.fact, Prompt)]


def model_of(events: Sequence[Event]) -> Model:
    (fact,) = [event.fact for event in events if isinstance(event.fact, Model)]
    return fact


def answer_in(events: Sequence[Event]) -> Answer:
    (fact,) = [event.fact for event in events if isinstance(event.fact, Answer)]
    return fact


async def a_request(platform: Platform, text: str = "hello") -> RunKey:
    key = RunKey.checked(new_run_id(), new_conversation_id())
    await append(platform.bus, key.step("request", "router"), Request(text=text))
    return key


async def until(platform: Platform, key: RunKey, kind: str, seconds: float = 15) -> list[Event]:
    async def there() -> bool:
        return kind in kinds(await fold(platform.bus, key.everything))

    await wait_until(there, f"a {kind}", seconds=seconds)
    return await fold(platform.bus, key.everything)


# --- the same model again -------------------------------------------------------------------------------------------


async def test_a_failure_that_passes_is_tried_again_and_both_attempts_are_on_the_log(
    platform: Platform, opened: Opened
) -> None:
    async with (
        opened([refuses(500, "On fire."), says("Well.")]) as providers,
        hosting(platform, providers.models, Agent("plain", model=HOUSE)),
    ):
        answer, events = await platform.ask("hello")
    assert answer == "Well."
    assert kinds(events) == ["request", "task", "prompt", "note", "prompt", "model", "answer"]
    assert [(each.attempt, each.delivery, each.model) for each in prompts(events)] == [(1, 1, HOUSE), (2, 1, HOUSE)]
    (note,) = notes(events)
    assert events[3].subject.step == "retry-1-1"
    assert note.what == "retry"
    assert note.data["message"] == "house:m failed with status 500: On fire."
    assert {name: note.data[name] for name in ("model", "next", "code", "status", "spent")} == {
        "model": HOUSE, "next": HOUSE, "code": "model_failed", "status": 500, "spent": False,
    }  # fmt: skip
    assert 0 <= note.data["wait_ms"] <= 500
    assert note.data["latency_ms"] > 0
    assert (model_of(events).attempt, model_of(events).model) == (2, HOUSE)


async def test_the_provider_is_not_asked_before_the_time_it_gave(platform: Platform, opened: Opened) -> None:
    async with (
        opened([refuses(429, headers="retry-after-ms: 300\r\n"), says("Well.")]) as providers,
        hosting(platform, providers.models, Agent("plain", model=HOUSE)),
    ):
        _, events = await platform.ask("hello")
    (note,) = notes(events)
    assert (note.data["retry_after"], note.what) == (0.3, "retry")
    assert note.data["wait_ms"] >= 300
    noted, again = (event for event in events if event.subject.step in ("retry-1-1", "1-2"))
    assert again.at - noted.at >= timedelta(milliseconds=note.data["wait_ms"] - 5)


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (refuses(400), "refused the request"),
        (refuses(401), "refused the key"),
        (refuses(404, code="model_not_found"), "was not found"),
        (refuses(400, code="context_length_exceeded"), "cannot take so long a conversation"),
    ],
    ids=["400", "401", "404", "context window"],
)
async def test_what_will_not_pass_is_not_tried_again(
    platform: Platform, opened: Opened, reply: Reply, what: str
) -> None:
    async with (
        opened([reply]) as providers,
        hosting(platform, providers.models, Agent("plain", model=HOUSE)),
    ):
        answer, events = await platform.ask("hello")
    assert f"model_failed: house:m {what}" in answer
    assert len(providers.house.questions) == 1
    assert kinds(events) == ["request", "task", "prompt", "model", "answer"]


async def test_a_stream_that_stalls_is_cut_and_tried_again(platform: Platform, opened: Opened) -> None:
    """Its connection is closed; for a watcher, the text of the second attempt takes the place of the first's."""
    key = RunKey.checked(new_run_id(), new_conversation_id())
    async with (
        opened([begins("Half a"), says("A whole answer.")], stall_seconds=3) as providers,
        hosting(platform, providers.models, Agent("plain", model=HOUSE)),
    ):
        watching = platform.client.stream("hello", run=key.run, conversation=key.conversation, timeout=20)
        seen = [item async for item in watching]
        await asyncio.wait_for(providers.house.left.wait(), 30)
    told = [(item.text, item.restart) for item in seen if isinstance(item, TextDelta)]
    assert told == [("Half a", False), ("A whole answer.", True)]
    said = [item.text for item in seen if isinstance(item, Progress)]
    assert said[1:] == [
        "plain thinks",
        "house:m began to answer and then said nothing for 3 s. It is asked again.",
    ]
    (note,) = notes(await fold(platform.bus, key.everything))
    assert note.data["message"] == "house:m began to answer and then said nothing for 3 s."
    assert note.data["spent"] is True


async def test_the_time_out_is_total_over_all_tries(platform: Platform, opened: Opened) -> None:
    """A provider that never comes to the end is stopped, and nobody is asked after it."""
    settings = WorkerSettings(model_timeout=3.0)
    async with (
        opened([begins("More", trickle=" and more")]) as providers,
        hosting(platform, providers.models, Agent("plain", model=[HOUSE, SPARE]), settings=settings),
    ):
        answer, events = await platform.ask("hello")
        await asyncio.wait_for(providers.house.left.wait(), 30)
    assert answer.startswith("model_failed: house:m did not answer within 3 s")
    error = model_of(events).error
    assert error is not None
    assert error.code == "deadline_passed"
    assert (len(providers.house.questions), len(providers.spare.questions)) == (1, 0)


async def test_the_runs_deadline_bounds_it_too(platform: Platform, opened: Opened) -> None:
    key = RunKey.checked(new_run_id(), new_conversation_id())
    async with (
        opened([begins("More", trickle=" and more")]) as providers,
        hosting(platform, providers.models, Agent("plain", model=HOUSE)),
        ServerClock().running(platform.bus) as clock,
    ):
        task = Task(text="hello", first=True, deadline=clock.now() + timedelta(seconds=3))
        await append(platform.bus, key.step("task", "plain"), task)
        events = await until(platform, key, "model")
    error = model_of(events).error
    assert error is not None
    expected = "The run's time was up while agent plain waited for the model house:m."
    assert (error.code, error.message) == ("deadline_passed", expected)


# --- the next model -------------------------------------------------------------------------------------------------


async def test_a_chain_goes_on_where_trying_again_is_pointless(platform: Platform, opened: Opened) -> None:
    """The prompt says who is asked, the model fact who served."""
    async with (
        opened([refuses(401)], [says("Here I am.")]) as providers,
        hosting(platform, providers.models, Agent("plain", model=[HOUSE, SPARE])),
    ):
        answer, events = await platform.ask("hello")
    assert answer == "Here I am."
    assert [(each.attempt, each.model) for each in prompts(events)] == [(1, HOUSE), (2, SPARE)]
    assert model_of(events).model == SPARE
    (note,) = notes(events)
    assert (note.what, note.data["next"], note.data["wait_ms"]) == ("fallback", SPARE, 0)


async def test_a_chain_goes_on_when_the_tries_are_used_up(platform: Platform, opened: Opened) -> None:
    settings = WorkerSettings(model_retries=1)
    async with (
        opened([refuses(503, headers=SOON)], [says("Here I am.")]) as providers,
        hosting(platform, providers.models, Agent("plain", model=[HOUSE, SPARE]), settings=settings),
    ):
        answer, events = await platform.ask("hello")
    assert answer == "Here I am."
    assert [each.model for each in prompts(events)] == [HOUSE, HOUSE, SPARE]
    assert [note.what for note in notes(events)] == ["retry", "fallback"]


@pytest.mark.parametrize(
    ("failure", "code", "spent"),
    [
        (KeyError("a bug"), "model_failed", True),
        (InvalidSettings("Its SDK is not installed."), "invalid_settings", False),
    ],
    ids=["a bug of the client", "not installed"],
)
async def test_a_chain_goes_on_whatever_a_client_raises(
    platform: Platform, failure: Exception, code: str, spent: bool
) -> None:
    async with hosting(platform, ScriptedModel(script=[failure]), Agent("plain", model=["a:m", "b:m"])):
        answer, events = await platform.ask("hello")
    assert answer == "At last."
    (note,) = notes(events)
    assert (note.what, note.data["code"], note.data["spent"]) == ("fallback", code, spent)


async def test_who_wants_to_be_left_alone_for_too_long_is_passed_over(platform: Platform, opened: Opened) -> None:
    async with (
        opened([refuses(429, headers="retry-after: 3600\r\n")], [says("Here I am.")]) as providers,
        hosting(platform, providers.models, Agent("plain", model=[HOUSE, SPARE]), Agent("alone", model=HOUSE)),
    ):
        answer, _ = await platform.ask("hello", agent="plain")
        alone, events = await platform.ask("hello", agent="alone")
    assert answer == "Here I am."
    assert alone.startswith("model_failed: house:m is over its rate limit")
    error = answer_in(events).error
    assert error is not None
    assert error.hint.startswith("Try again in 3600 s")
    assert len(providers.house.questions) == 2


async def test_when_all_fail_one_answer_says_how_much_was_tried(platform: Platform, opened: Opened) -> None:
    settings = WorkerSettings(model_retries=1)
    async with (
        opened([refuses(500, headers=SOON)], [refuses(401)]) as providers,
        hosting(platform, providers.models, Agent("plain", model=[HOUSE, SPARE]), settings=settings),
    ):
        answer, events = await platform.ask("hello")
    assert answer == "model_failed: spare:m refused the key: No. house:m and spare:m failed in 3 tries."
    assert kinds(events)[-2:] == ["model", "answer"]
    assert model_of(events).attempt == 3


# --- the breaker ----------------------------------------------------------------------------------------------------


async def test_a_provider_that_keeps_failing_is_left_alone_by_all_runs_until_a_probe_succeeds(
    platform: Platform, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three runs at once open it. While it is open a run fails at once, and one with a second model goes on with it.
    After the pause one run probes; another that comes meanwhile does not.
    """
    probe = Reply(says("Back.").body, free=asyncio.Event())
    limits = {"breaker_failures": 3, "breaker_pause_seconds": 1000}
    alone, twice = Agent("alone", model=HOUSE), Agent("twice", model=[HOUSE, SPARE])
    settings = WorkerSettings(model_retries=0)
    async with (
        opened([refuses(500)] * 3 + [probe], **limits) as providers,
        hosting(platform, providers.models, alone, twice, settings=settings),
    ):
        await asyncio.gather(*(platform.ask("hello", agent="alone") for _ in range(3)))
        refused, events = await platform.ask("hello", agent="alone")
        served, fallen = await platform.ask("hello", agent="twice")
        assert len(providers.house.questions) == 3
        assert providers.models.away

        monkeypatch.setattr(Breaker, "_wait", lambda *_: 0.0)  # the pause is over
        probing = asyncio.create_task(platform.ask("hello", agent="alone"))
        await wait_until(lambda: len(providers.house.questions) == 4, "the probe")
        meanwhile, _ = await platform.ask("hello", agent="alone")
        assert probe.free is not None
        probe.free.set()
        back, _ = await probing
        again, _ = await platform.ask("hello", agent="alone")
    assert refused.startswith("model_failed: house:m was not asked: house is not asked for another ")
    error = model_of(events).error
    assert error is not None
    assert error.code == "circuit_open"
    assert served == "Spare."
    assert [(note.what, note.data["code"]) for note in notes(fallen)] == [("fallback", "circuit_open")]
    assert "house is being tried again" in meanwhile
    assert (back, again) == ("Back.", "Back.")
    assert providers.models.away == ()
    assert len(providers.house.questions) == 5


SHOP = """
from trunkline import Agent

shop = Agent("shop", model="house:m")
"""


async def test_the_service_hosts_agents_by_the_settings_and_says_in_its_health_who_is_left_alone(
    platform: Platform, opened: Opened, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    async with opened([refuses(500, headers=SOON)], retries=1, breaker_failures=2) as _:
        settings = AgentsSettings(
            nats_url=platform.bus.url,
            config=tmp_path / "trunkline.toml",
            agent_files=[tmp_path / "shop.py"],
            generalist=False,
        )
        service = agents_service(settings)
        assert service.health().without == ()
        async with service.work(platform.bus):
            await wait_until(lambda: "shop" in platform.routes.agents(), "the router knows it")
            answer, _ = await platform.ask("hello", agent="shop")
            assert answer.endswith("house:m failed in 2 tries.")
            (away,) = service.health().without
            assert away.startswith("house is not asked for another ")


# --- cancellation ---------------------------------------------------------------------------------------------------


async def test_cancelling_a_run_closes_the_connection_and_ends_the_attempt(platform: Platform, opened: Opened) -> None:
    """Though the flow would ask again after any failure, nothing more is paid."""
    agent = Agent("stubborn", model=HOUSE)

    @agent.flow
    async def handle(run: Run) -> str:
        with contextlib.suppress(ModelFailed):
            await run.model("first")
        return (await run.model("second")).text

    async with (
        opened([begins("More", trickle=" and more")]) as providers,
        hosting(platform, providers.models, agent),
    ):
        key = await a_request(platform)
        await wait_until(lambda: providers.house.questions == ["first"], "the provider is asked")
        await append(platform.bus, key.cancel, Cancel(by="ada"))
        await asyncio.wait_for(providers.house.left.wait(), 30)
        events = await until(platform, key, "answer")
    fact, answer = model_of(events), answer_in(events)
    assert fact.error is not None
    assert answer.error is not None
    assert (fact.error.code, fact.error.data["spent"], answer.error.code) == ("cancelled", True, "cancelled")
    assert providers.house.questions == ["first"]
    assert kinds(events).count("prompt") == 1


async def test_cancelling_a_run_ends_the_pause_before_a_retry(platform: Platform, opened: Opened) -> None:
    async with (
        opened([refuses(429, headers="retry-after: 100\r\n")]) as providers,
        hosting(platform, providers.models, Agent("plain", model=HOUSE)),
    ):
        key = await a_request(platform)
        await until(platform, key, "note")
        await append(platform.bus, key.cancel, Cancel(by="ada"))
        events = await until(platform, key, "answer")
    fact, answer = model_of(events), answer_in(events)
    assert fact.error is not None
    assert answer.error is not None
    assert (fact.error.code, answer.error.code) == ("cancelled", "cancelled")
    assert len(providers.house.questions) == 1


class Evasive(ScriptedModel):
    """Makes an error of its own of a cancellation."""

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        try:
            return await super().complete(query, on_text)
        except asyncio.CancelledError:
            raise busy() from None


async def test_a_cancelled_attempt_ends_as_such_whatever_the_client_makes_of_it(platform: Platform) -> None:
    model = Evasive(script=[None])
    async with hosting(platform, model, Agent("plain", model="a:m")):
        key = await a_request(platform)
        await wait_until(lambda: model.hanging == 1, "the model is asked")
        await append(platform.bus, key.cancel, Cancel())
        events = await until(platform, key, "answer")
    error = model_of(events).error
    assert error is not None
    assert (error.code, len(model.names)) == ("cancelled", 1)


async def test_side_by_side_calls_of_a_cancelled_run_all_end_in_a_fact(platform: Platform, opened: Opened) -> None:
    agent = Agent("twice", model=HOUSE)

    @agent.flow
    async def handle(run: Run) -> str:
        one, two = await asyncio.gather(run.model("one"), run.model("two"))
        return one.text + two.text

    async with (
        opened([begins("More", trickle=" and more")]) as providers,
        hosting(platform, providers.models, agent),
    ):
        key = await a_request(platform)
        await wait_until(lambda: len(providers.house.questions) == 2, "both are asked")
        await append(platform.bus, key.cancel, Cancel())
        events = await until(platform, key, "answer")
    found = [event.fact.error for event in events if isinstance(event.fact, Model)]
    assert [error.code for error in found if error] == ["cancelled", "cancelled"]


# --- takeover -------------------------------------------------------------------------------------------------------


async def test_a_takeover_in_the_middle_of_retries_goes_on_with_what_is_left_of_them(platform: Platform) -> None:
    """One try failed, the second was lost with its worker: of three tries, one is left."""
    agent, first = Agent("plain", model="a:m"), ScriptedModel(script=[busy(), None])
    async with hosting(platform, first, agent, settings=QUICK):
        key = await a_request(platform)
        await wait_until(lambda: first.hanging == 1, "the second try")
    second = ScriptedModel(script=[busy()] * 9)
    async with hosting(platform, second, agent, settings=WorkerSettings(ack_wait=1.0, model_retries=2)):
        events = await until(platform, key, "answer")
    deliveries = [each.delivery for each in prompts(events)]
    assert deliveries[0] == deliveries[1] < deliveries[2] == deliveries[3]
    assert [each.attempt for each in prompts(events)] == [1, 2, 3, 4]
    assert [event.subject.step for event in events if isinstance(event.fact, Note)] == [
        "retry-1-1", "takeover-1-3", "retry-1-3",
    ]  # fmt: skip
    assert model_of(events).attempt == 4
    assert len(second.names) == 2


async def test_a_takeover_asks_the_model_that_was_asked_last(platform: Platform) -> None:
    agent = Agent("plain", model=["a:m", "b:m"])
    first = ScriptedModel(script=[ModelFailed("It refuses.", retryable=False), None])
    async with hosting(platform, first, agent, settings=QUICK):
        key = await a_request(platform)
        await wait_until(lambda: first.hanging == 1, "the second model is asked")
    second = ScriptedModel()
    async with hosting(platform, second, agent, settings=QUICK):
        events = await until(platform, key, "answer")
    assert answer_in(events).text == "At last."
    assert (first.names, second.names) == (["a:m", "b:m"], ["b:m"])


# --- the agent's own fallback ---------------------------------------------------------------------------------------


class NoModel(ScriptedModel):
    """None of `broken` answers."""

    broken: tuple[str, ...] = ("a:m",)

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        self.names.append(query.model)
        if query.model in self.broken:
            raise ModelFailed(f"{query.model} is gone.", "Come back tomorrow.", retryable=False)
        return ModelReply(model=query.model, text=f"{query.model} says: {query.messages[-1]}")


async def test_a_canned_text_answers_when_the_models_fail(platform: Platform) -> None:
    agent = Agent("shop", model="a:m", fallback=Say("We are closed, please call."))
    async with hosting(platform, NoModel(), agent):
        answer, events = await platform.ask("hello")
    assert answer == "We are closed, please call."
    (note,) = notes(events)
    assert (note.what, note.data) == ("fallback_answer", {"by": "text", "why": "a:m is gone."})


async def test_another_agent_answers_when_the_models_fail(platform: Platform) -> None:
    """Its answer is a result of this run, as any delegation's; own flows have a fallback, too."""
    shop, desk = Agent("shop", model="a:m", fallback="desk"), Agent("desk", model="b:m")

    @shop.flow
    async def handle(run: Run) -> str:
        return (await run.model("something of my own")).text

    async with hosting(platform, NoModel(), shop, desk):
        answer, events = await platform.ask("When do you open?", agent="shop")
    assert "b:m says" in answer
    assert "When do you open?" in answer
    (note,) = notes(events)
    assert (note.what, note.data["by"]) == ("fallback_answer", "desk")
    (result,) = [event.fact for event in events if isinstance(event.fact, Result)]
    assert (result.agent, result.value) == ("desk", answer)


async def test_agents_that_stand_in_for_each_other_do_not_go_round(platform: Platform) -> None:
    shop, desk = Agent("shop", model="a:m", fallback="desk"), Agent("desk", model="a:m", fallback="shop")
    model = NoModel()
    async with hosting(platform, model, shop, desk):
        answer, events = await platform.ask("hello", agent="shop")
    assert answer.startswith("model_failed: a:m is gone. Its fallback desk failed too: a:m is gone.")
    assert "waits for this very answer" in answer
    assert len(model.names) == 2
    assert kinds(events).count("answer") == 1


async def test_a_fallback_is_for_failing_models_only(platform: Platform) -> None:
    agent = Agent("shop", tools=["raises"], fallback=Say("We are closed."))

    @agent.flow
    async def handle(run: Run) -> str:
        return str(await run.call("raises", text="no luck"))

    async with platform.run(agent):
        answer, events = await platform.ask("hello")
    assert answer.startswith("tool_failed")
    assert notes(events) == []
