"""What is written can be read; what cannot be read is a typed error, never anything else."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import get_args

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.codec import Event, canonical, decode_delta, decode_fact, encode, encode_event, input_hash
from trunkline.contracts.dialog import ToolCall, Usage
from trunkline.contracts.errors import BadMessage
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.messages import (
    Answer,
    AnyFact,
    Approval,
    Call,
    Cancel,
    Decision,
    Delta,
    Fact,
    Failure,
    Feedback,
    Model,
    Note,
    Parent,
    Prompt,
    Request,
    Resources,
    Result,
    Route,
    Started,
    Task,
    Turn,
)
from trunkline.contracts.subjects import KINDS, RunKey

texts = st.text(max_size=40)
numbers = st.integers(min_value=0, max_value=2**53)
floats = st.floats(allow_nan=False, allow_infinity=False, width=32)
moments = st.none() | st.datetimes(timezones=st.just(UTC))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=3)
failures = st.none() | st.builds(Failure, code=texts, message=texts, hint=texts, data=objects)
turns = st.builds(Turn, number=numbers, of=numbers)
parents = st.none() | st.builds(Parent, run=texts, agent=texts, step=texts, turn=turns, depth=numbers, input_hash=texts)
routes = st.builds(Route, confidence=floats, source=texts, scores=st.dictionaries(texts, floats, max_size=3))
usages = st.builds(Usage, input_tokens=numbers, output_tokens=numbers, cache_read_tokens=numbers)
calls = st.lists(st.builds(ToolCall, id=texts, tool=texts, arguments=objects), max_size=2).map(tuple)
strings = st.dictionaries(texts, texts, max_size=3)

FACTS: dict[type[Fact], st.SearchStrategy[Fact]] = {
    Request: st.builds(Request, id=texts, text=texts, user=texts, agent=texts, deadline=moments, metadata=strings),
    Task: st.builds(Task, text=texts, user=texts, route=routes, tier=texts, parent=parents, deadline=moments),
    Prompt: st.builds(Prompt, model=texts, input_hash=texts, attempt=numbers, carrier=numbers, delivery=numbers),
    Model: st.builds(
        Model, model=texts, input_hash=texts, text=texts, calls=calls, usage=usages, latency_ms=floats, error=failures
    ),
    Call: st.builds(Call, agent=texts, arguments=objects, input_hash=texts, turn=turns, deadline=moments),
    Started: st.builds(Started, executor=texts, delivery=numbers, isolation=texts),
    Approval: st.builds(Approval, arguments=objects, arguments_hash=texts, provenance=strings, expires=moments),
    Decision: st.builds(
        Decision, verdict=st.sampled_from(["approved", "denied"]), by=texts, arguments_hash=texts, until=moments
    ),
    Result: st.builds(
        Result,
        tool=texts,
        run=texts,
        agent=texts,
        turn=turns,
        value=values,
        error=failures,
        duration_ms=floats,
        resources=st.builds(Resources, cpu_ms=floats, max_rss_kib=numbers, output_bytes=numbers),
    ),
    Answer: st.builds(Answer, agent=texts, text=texts, error=failures, parent=parents),
    Cancel: st.builds(Cancel, by=texts, reason=texts),
    Note: st.builds(Note, what=texts, data=objects),
    Feedback: st.builds(Feedback, verdict=st.integers(-1, 1), comment=texts, by=texts),
}
any_fact = st.one_of(*FACTS.values())


def kind_of(fact: Fact) -> str:
    return str(fact.__struct_config__.tag)


def test_every_kind_of_the_log_has_its_fact() -> None:
    assert {fact.__struct_config__.tag for fact in get_args(AnyFact)} == set(KINDS)
    assert set(FACTS) == set(get_args(AnyFact))


@given(any_fact)
def test_a_fact_reads_back_as_it_was_written(fact: Fact) -> None:
    assert decode_fact(kind_of(fact), encode(fact)) == fact


@given(any_fact, st.dictionaries(st.text("abcdefgh", min_size=20, max_size=30), values, min_size=1, max_size=3))
def test_unknown_fields_survive_reading_and_writing(fact: Fact, unknown: dict[str, object]) -> None:
    raw = orjson.dumps(orjson.loads(encode(fact)) | unknown)
    read = decode_fact(kind_of(fact), raw)
    assert read == fact
    key = RunKey.checked(new_run_id(), "c")
    event = Event(key.step("note", "n", "1"), 1, datetime.now(UTC), read, raw)
    assert encode_event(event) == raw
    changed = orjson.loads(encode_event(event, msgspec.structs.replace(read, traceparent="t")))
    assert changed["traceparent"] == "t"
    assert {name: changed[name] for name in unknown} == orjson.loads(orjson.dumps(unknown))


@given(st.builds(Delta, agent=texts, step=texts, attempt=numbers, text=texts))
def test_a_delta_reads_back_as_it_was_written(delta: Delta) -> None:
    assert decode_delta(encode(delta)) == delta


def test_a_plain_request_needs_nothing_but_its_text() -> None:
    assert decode_fact("request", b'{"text": "hello"}') == Request(text="hello")


def garbage(generator: random.Random) -> bytes:
    """Random bytes, broken JSON, or JSON of another shape."""
    choice = generator.random()
    if choice < 0.4:
        return generator.randbytes(generator.randrange(200))
    valid = encode(Task(text="x" * generator.randrange(30)))
    if choice < 0.7:
        place = generator.randrange(len(valid))
        return valid[:place] + generator.randbytes(3) + valid[place:]
    shapes: list[object] = [None, 1, [], [1], "x", {"kind": "zzz"}, {"kind": 7}, {"text": 1}, {"verdict": "maybe"}]
    return orjson.dumps(generator.choice(shapes))


@pytest.mark.parametrize("kind", [*sorted(KINDS), "delta"])
def test_ten_thousand_random_bodies_end_in_a_fact_or_in_a_bad_message(kind: str) -> None:
    generator = random.Random(kind)
    refused = 0
    for _ in range(10_000):
        raw = garbage(generator)
        try:
            fact = decode_delta(raw) if kind == "delta" else decode_fact(kind, raw)
        except BadMessage:
            refused += 1
        else:
            assert isinstance(fact, Fact | Delta)
    assert refused > 5_000


@pytest.mark.parametrize("raw", [b"[" * 200_000, b'{"value":' + b"[" * 200_000, b'{"a":' * 100_000])
def test_bottomless_nesting_is_a_bad_message(raw: bytes) -> None:
    for kind in KINDS:
        with pytest.raises(BadMessage):
            decode_fact(kind, raw)


def test_an_unknown_kind_is_a_bad_message() -> None:
    with pytest.raises(BadMessage, match="unknown kind"):
        decode_fact("gossip", b"{}")


@given(objects)
def test_equal_values_have_one_spelling(value: dict[str, object]) -> None:
    shuffled = dict(reversed(list(value.items())))
    assert canonical(value) == canonical(shuffled)
    assert input_hash("a", value) == input_hash("a", shuffled)
    assert input_hash("a", value) != input_hash("b", value)


def test_what_json_cannot_say_is_a_bad_message() -> None:
    with pytest.raises(BadMessage):
        canonical({"a": object()})
