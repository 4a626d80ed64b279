"""Whatever goes wrong ends in one clear answer, and nothing is lost."""

from __future__ import annotations

import base64
import contextlib
from datetime import UTC, datetime

import orjson
import pytest

from tests.conftest import wait_until
from tests.fundamentals.conftest import Platform, kinds
from trunkline import Agent, Run
from trunkline.bus import StoredMessage, append, fold
from trunkline.contracts.codec import encode
from trunkline.contracts.errors import InvalidName, InvalidQuestion, TrunklineError
from trunkline.contracts.ids import new_conversation_id, new_run_id
from trunkline.contracts.messages import Answer, Call, Cancel, Failure, Parent, Request, Result, Task, Turn
from trunkline.contracts.subjects import Kind, RunKey, timer_due
from trunkline.run.ending import fail_call


def a_flow_that_calls(tool: str, **arguments: object) -> Agent:
    agent = Agent("flow", tools=["add", "raises", "hangs", "floods", "exits", "absent"])

    @agent.flow
    async def handle(run: Run) -> str:
        return str(await run.call(tool, **arguments))

    return agent


@pytest.mark.parametrize(
    ("tool", "arguments", "expected"),
    [
        ("add", {"a": "two", "b": 3}, "a"),
        ("add", {"a": 2}, "b"),
        ("add", {"a": 2, "b": 3, "c": 4}, "c"),
        ("raises", {"text": "no luck"}, "raised ValueError: no luck"),
        ("hangs", {}, "did not return within 1 s"),
        ("floods", {}, "printed more than"),
        ("exits", {}, "left with exit code 3"),
        ("absent", {}, "No executor offers the tool 'absent' now."),
        ("forbidden", {}, "may not use a tool 'forbidden'"),
    ],
)
async def test_a_tool_that_fails_says_how(
    platform: Platform, tool: str, arguments: dict[str, object], expected: str
) -> None:
    async with platform.run(a_flow_that_calls(tool, **arguments)):
        answer, events = await platform.ask("go")
    assert expected in answer
    assert kinds(events)[-1] == "answer"
    assert kinds(events).count("answer") == 1


async def test_the_built_in_loop_tells_its_model_about_a_failed_tool(platform: Platform) -> None:
    async with platform.run(Agent("plain", tools=["raises"])):
        answer, _ = await platform.ask('raise an error "no luck"')
    assert "no luck" in answer


async def test_code_that_fails_is_the_agents_failure(platform: Platform) -> None:
    agent = Agent("flow")

    @agent.flow
    async def handle(run: Run) -> str:
        raise KeyError("surprise")

    async with platform.run(agent):
        answer, _ = await platform.ask("go")
    assert answer == "agent_failed: The code of agent flow failed: KeyError: 'surprise'"


async def test_a_flow_that_returns_no_text_is_told_so(platform: Platform) -> None:
    agent = Agent("flow")

    @agent.flow
    async def handle(run: Run) -> str:
        return 7  # type: ignore[return-value]  # the mistake that this is about

    async with platform.run(agent):
        answer, _ = await platform.ask("go")
    assert "returned int, not a text" in answer


async def test_a_cancelled_run_ends_in_one_answer(platform: Platform) -> None:
    key = RunKey.checked(new_run_id(), new_conversation_id())
    await append(platform.bus, key.step("cancel", "all"), Cancel(by="u", reason="changed my mind"))
    await append(platform.bus, key.step("request", "router"), Request(text="hello"))
    async with platform.run(Agent("plain")):
        answer = await answer_of(platform, key)
    assert answer.error is not None
    assert (answer.error.message, answer.error.hint) == ("The run was cancelled by u.", "changed my mind")
    assert platform.model.asked == []


async def test_without_an_agent_the_answer_says_so(platform: Platform) -> None:
    answer, _ = await platform.ask("hello")
    assert answer == "unknown_agent: No agent is running, so nobody can answer."


async def test_an_unknown_agent_is_refused_with_the_names_of_the_known(platform: Platform) -> None:
    async with platform.run(Agent("plain")):
        answer, _ = await platform.ask("hello", agent="nobody")
    assert answer == "unknown_agent: There is no agent 'nobody'."


@pytest.mark.parametrize("text", ["", "   \n"])
async def test_an_empty_question_is_refused_before_it_is_sent(platform: Platform, text: str) -> None:
    with pytest.raises(InvalidQuestion):
        await platform.client.ask(text)


async def test_an_empty_question_on_the_bus_is_answered_clearly(platform: Platform) -> None:
    key = RunKey.checked(new_run_id(), new_conversation_id())
    await append(platform.bus, key.step("request", "router"), Request(text=""))
    answer = await answer_of(platform, key)
    assert answer.error is not None
    assert answer.error.message == "The question is empty."


async def test_a_question_of_a_megabyte_is_refused_clearly_and_kept(platform: Platform) -> None:
    async with platform.run(Agent("plain")):
        answer, events = await platform.ask("long " * 200_000)
    assert "1,000,000 characters; at most 32,000" in answer
    assert isinstance(events[0].fact, Request)
    assert len(events[0].fact.text) == 1_000_000


@pytest.mark.parametrize("token", ["*", ">", "a.b", "a b", ""])
async def test_a_wildcard_never_gets_onto_the_bus(platform: Platform, token: str) -> None:
    with pytest.raises(InvalidName):
        await anext(platform.client.stream("hello", conversation=token or "x y"))
    with pytest.raises(InvalidName):
        await platform.client.cancel(token, "c")


GARBAGE = [b"", b"\xff\xfe\x00", b"{", b"[]", b'{"kind":"answer"}', b'{"text":7}', b"\x00" * 5000]
CONSUMED: list[tuple[Kind, str]] = [
    ("request", "router"),
    ("task", "plain"),
    ("result", "plain"),
    ("call", "add"),
    ("call", "timer"),
]


@pytest.mark.parametrize(("kind", "name"), CONSUMED)
async def test_garbage_on_a_consumed_subject_is_parked_whole_and_the_run_is_answered(
    platform: Platform, kind: Kind, name: str
) -> None:
    async with platform.run(Agent("plain", tools=["add"])):
        for raw in GARBAGE:
            key = RunKey.checked(new_run_id(), new_conversation_id())
            await platform.bus.client.publish(str(key.step(kind, name)), raw)
            answer = await answer_of(platform, key)
            assert answer.error is not None
            assert answer.error.message.startswith("This run could not go on: ")
            assert raw in await parked(platform)
        sane, _ = await platform.ask("hello")
    assert "(offline model)" in sane


async def test_garbage_among_the_timers_is_parked_whole(platform: Platform) -> None:
    key = RunKey.checked(new_run_id(), new_conversation_id())
    for number, raw in enumerate(GARBAGE):
        await platform.bus.client.publish(timer_due(key, "plain", str(number)), raw)
    await platform.bus.client.publish("timer.due.odd", b"no run's")

    async def all_parked() -> bool:
        return {*GARBAGE, b"no run's"} <= set(await parked(platform))

    await wait_until(all_parked, "every dead letter")


async def answer_of(platform: Platform, key: RunKey) -> Answer:
    found: list[Answer] = []

    async def answered() -> bool:
        events = await fold(platform.bus, key.everything)
        found[:] = [event.fact for event in events if isinstance(event.fact, Answer)]
        return bool(found)

    await wait_until(answered, "the answer")
    return found[0]


async def parked(platform: Platform) -> list[bytes]:
    """The bodies of all dead letters."""
    bodies = []
    last = (await platform.bus.api("STREAM.INFO.OPS"))["state"]["last_seq"]
    for sequence in range(1, last + 1):
        message = (await platform.bus.api("STREAM.MSG.GET.OPS", {"seq": sequence}))["message"]
        bodies.append(base64.b64decode(orjson.loads(base64.b64decode(message["data"]))["data"]))
    return bodies


async def test_a_parked_message_of_a_delegated_run_is_told_to_the_agent_that_asked(platform: Platform) -> None:
    asker, helper = Agent("asker"), Agent("helper")

    @asker.flow
    async def ask(run: Run) -> str:
        return await run.ask("helper", "wait")

    @helper.flow
    async def help_out(run: Run) -> str:
        key = run_key(run)
        await platform.bus.client.publish(str(key.step("result", "helper", "9")), b"\xff poison")
        await run.sleep(60)
        return "never"

    async with platform.run(asker, helper):
        answer, _ = await platform.ask("go", agent="asker")
    assert "This run could not go on" in answer


def run_key(run: Run) -> RunKey:
    return RunKey.checked(run.id, run.conversation)


async def test_a_sleep_without_end_is_refused_and_the_delegated_run_goes_on(platform: Platform) -> None:
    asker, helper = Agent("asker"), Agent("helper")

    @asker.flow
    async def ask(run: Run) -> str:
        return await run.ask("helper", "wait")

    @helper.flow
    async def help_out(run: Run) -> str:
        with contextlib.suppress(TrunklineError):
            await run.sleep(float("inf"))
        return "went on"

    async with platform.run(asker, helper):
        answer, _ = await platform.ask("go", agent="asker")
    assert answer == "went on"
    assert await parked(platform) == []


async def test_a_call_whose_handling_fails_for_good_is_told_to_its_agent(platform: Platform) -> None:
    key = RunKey.checked(new_run_id(), new_conversation_id())
    call = Call(agent="flow", input_hash="h", turn=Turn(number=3, of=2))
    recorded = await append(platform.bus, key.step("call", "absent", "7"), call)
    message = StoredMessage(str(key.step("call", "absent", "7")), recorded.sequence, datetime.now(UTC), encode(call))
    failure = Failure(code="bad_message", message="no good")
    await fail_call(platform.bus, message, key, failure)
    events = await fold(platform.bus, key.everything)
    assert [str(event.subject) for event in events[1:]] == [str(key.step("result", "flow", "7"))]
    result = events[-1].fact
    assert isinstance(result, Result)
    assert (result.tool, result.turn, result.input_hash, result.error) == ("absent", call.turn, "h", failure)


@pytest.mark.parametrize("name", ["add", "timer"])
@pytest.mark.parametrize("raw", [b"\xff", b'{"agent":"a b","arguments":{"seconds":-1}}'])
async def test_a_parked_call_that_names_no_agent_ends_a_delegated_run_for_its_parent(
    platform: Platform, name: str, raw: bytes
) -> None:
    conversation = new_conversation_id()
    parent, child = (RunKey.checked(new_run_id(), conversation) for _ in range(2))
    failure = Failure(code="bad_message", message="no good")
    by = Parent(run=parent.run, agent="asker", step="1", input_hash="h")
    await append(platform.bus, child.step("task", "helper"), Task(text="q", parent=by))
    subject = child.step("call", name, "9")
    await fail_call(platform.bus, StoredMessage(str(subject), 1, datetime.now(UTC), raw), child, failure)
    assert [str(event.subject) for event in await fold(platform.bus, parent.everything)] == [
        str(parent.step("result", "asker", "1"))
    ]
    answers = [event for event in await fold(platform.bus, child.everything) if event.subject.kind == "answer"]
    assert [event.subject.name for event in answers] == ["asker"]


@pytest.mark.parametrize("name", ["add", "timer"])
async def test_garbage_that_calls_in_a_delegated_run_is_told_to_its_parent(platform: Platform, name: str) -> None:
    asker, helper = Agent("asker"), Agent("helper")

    @asker.flow
    async def ask(run: Run) -> str:
        return await run.ask("helper", "wait")

    @helper.flow
    async def help_out(run: Run) -> str:
        await platform.bus.client.publish(str(run_key(run).step("call", name, "9")), b"\xff poison")
        await run.sleep(60)
        return "never"

    async with platform.run(asker, helper):
        answer, _ = await platform.ask("go", agent="asker")
    assert "This run could not go on" in answer


@pytest.mark.parametrize("seconds", [-1, "soon", None, True, [1]])
async def test_a_sleep_of_no_length_is_refused(platform: Platform, seconds: object) -> None:
    key = RunKey.checked(new_run_id(), new_conversation_id())
    await append(platform.bus, key.step("call", "timer", "1"), Call(agent="flow", arguments={"seconds": seconds}))
    found: list[Result] = []

    async def refused() -> bool:
        events = await fold(platform.bus, key.everything)
        found[:] = [event.fact for event in events if isinstance(event.fact, Result)]
        return bool(found)

    await wait_until(refused, "the result")
    assert found[0].error is not None
    assert found[0].error.code == "invalid_arguments"
