"""The offline model: picks tools, fills their arguments, reports results, and never pretends to know."""

from __future__ import annotations

import time
from typing import Any

import pytest

from trunkline.contracts.dialog import (
    AssistantMessage,
    ModelQuery,
    ModelReply,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from trunkline.contracts.errors import ModelFailed
from trunkline.models import OfflineModel
from trunkline.models.offline import tokens

TEXT = {"type": "string"}
INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}


def tool(name: str, description: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> ToolSpec:
    schema = {"type": "object", "properties": required | (optional or {}), "required": list(required)}
    return ToolSpec(name=name, description=description, parameters=schema)


YES_NO = {"type": "boolean"}
SPEED = {"type": "string", "enum": ["standard", "express", "express_plus"]}
TOOLS = (
    tool("add", "Add two numbers.", {"a": INTEGER, "b": INTEGER}),
    tool("multiply", "Multiply two numbers.", {"a": NUMBER, "b": NUMBER}),
    tool("get_weather", "Current weather in a city.", {"city": TEXT}),
    tool("invoices.find", "Find the invoices of a customer.", {"customer": TEXT}),
    tool("invoices.get", "Fetch one invoice.", {"invoice_id": TEXT}),
    tool("refund", "Refund an invoice to its payment method.", {"invoice_id": INTEGER, "amount_cents": INTEGER}),
    tool("ship", "Ship an order.", {"order_id": TEXT, "speed": SPEED}, {"gift": YES_NO, "parcels": INTEGER}),
    tool("docs.search", "Search the handbook.", {"query": TEXT}),
    tool("convert", "Convert money.", {"amount": NUMBER, "from_currency": TEXT, "to_currency": TEXT}),
    tool("meetings.plan", "Plan a meeting.", {"date": {"type": "string", "format": "date"}, "email": TEXT}),
    tool("average", "Average of some numbers.", {"values": {"type": "array", "items": NUMBER}}),
    tool("translate", "Translate a text.", {"text": TEXT, "language": TEXT}),
    tool("ask_catalog", "Products, sizes, prices and stock", {"question": TEXT}),
    tool("parcels.track", "Track a parcel.", {"code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{4}$"}}),
)


async def ask(question: str, *since: AssistantMessage | ToolMessage, tools: tuple[ToolSpec, ...] = TOOLS) -> ModelReply:
    pieces: list[str] = []
    query = ModelQuery(model="offline:small", messages=(UserMessage(question), *since), tools=tools)
    reply = await OfflineModel().complete(query, pieces.append)
    assert "".join(pieces) == reply.text
    return reply


def calls(reply: ModelReply) -> list[tuple[str, dict[str, Any]]]:
    return [(call.tool, call.arguments) for call in reply.calls]


def called(name: str, arguments: dict[str, Any], content: object, *, failed: bool = False) -> tuple[Any, Any]:
    call = ToolCall(id=f"call-{name}", tool=name, arguments=arguments)
    return AssistantMessage(calls=(call,)), ToolMessage(call_id=call.id, tool=name, content=content, failed=failed)


@pytest.mark.parametrize(
    ("question", "name", "arguments"),
    [
        ("What is 2 + 3?", "add", {"a": 2, "b": 3}),
        ("what is 12 plus -4", "add", {"a": 12, "b": -4}),
        ("Multiply 2.5 by 1,000", "multiply", {"a": 2.5, "b": 1000}),
        ("What's the weather in Paris?", "get_weather", {"city": "Paris"}),
        ("weather in new york", "get_weather", {"city": "new york"}),
        ("Which invoices does customer Alice Smith have?", "invoices.find", {"customer": "Alice Smith"}),
        ("Why was I charged twice for INV-1042?", "invoices.get", {"invoice_id": "INV-1042"}),
        ("Please refund invoice 1042, 500 cents", "refund", {"invoice_id": 1042, "amount_cents": 500}),
        ("Refund 500 cents of invoice 1042", "refund", {"invoice_id": 1042, "amount_cents": 500}),
        ("Refund $12.50 of invoice 1042", "refund", {"invoice_id": 1042, "amount_cents": 1250}),
        ("Ship order ORD-7 express", "ship", {"order_id": "ORD-7", "speed": "express"}),
        ("Ship ORD-7 by express plus as a gift", "ship", {"order_id": "ORD-7", "speed": "express_plus", "gift": True}),
        ("Ship ORD-7 standard, not a gift", "ship", {"order_id": "ORD-7", "speed": "standard", "gift": False}),
        ("Ship ORD-7 express, not standardised", "ship", {"order_id": "ORD-7", "speed": "express"}),
        ("Ship ORD-7 standard in 3 parcels", "ship", {"order_id": "ORD-7", "speed": "standard", "parcels": 3}),
        ("How do I reset my password? search the docs", "docs.search", {"query": "reset my password"}),
        ("Search the docs for terms and conditions", "docs.search", {"query": "terms and conditions"}),
        ("Convert 100 USD to EUR", "convert", {"amount": 100, "from_currency": "USD", "to_currency": "EUR"}),
        ("Convert 100 to EUR from USD", "convert", {"amount": 100, "from_currency": "USD", "to_currency": "EUR"}),
        (
            "Plan a meeting with bob@example.org on 2026-01-02",
            "meetings.plan",
            {"date": "2026-01-02", "email": "bob@example.org"},
        ),
        ("The average of 1, 2 and 4.5?", "average", {"values": [1, 2, 4.5]}),
        ('Translate "good morning" to French', "translate", {"text": "good morning", "language": "French"}),
        ("Is the blue lamp in stock?", "ask_catalog", {"question": "Is the blue lamp in stock?"}),
        ("Track my parcel AB1234, please", "parcels.track", {"code": "AB1234"}),
    ],
)
async def test_one_tool_with_its_arguments(question: str, name: str, arguments: dict[str, Any]) -> None:
    reply = await ask(question)

    assert calls(reply) == [(name, arguments)]
    assert reply.finish == "tool_call"
    assert reply.text == ""


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "Add 2 and 3 and tell me the weather in Paris",
            [("add", {"a": 2, "b": 3}), ("get_weather", {"city": "Paris"})],
        ),
        (
            "What's the weather in Paris and Berlin?",
            [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Berlin"})],
        ),
        ("Add 1 and 2, and add 3 and 4", [("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})]),
        (
            "Is the red one in stock, and what is the weather in Rome?",
            [
                ("ask_catalog", {"question": "Is the red one in stock, and what is the weather in Rome?"}),
                ("get_weather", {"city": "Rome"}),
            ],
        ),
    ],
)
async def test_several_things_at_once(question: str, expected: list[tuple[str, dict[str, Any]]]) -> None:
    """Parts that each ask for something become parallel calls; a part like `3` belongs to its neighbour."""
    reply = await ask(question)

    assert calls(reply) == expected
    assert len({call.id for call in reply.calls}) == len(expected)


@pytest.mark.parametrize(
    "question",
    ["Hello!", "What is the capital of France?", "Who are you?", "I want my money back", "Find me a plumber", ""],
)
async def test_no_tool_rather_than_a_wrong_one(question: str) -> None:
    """It says that it is the offline model, that it does not know, and what would help."""
    reply = await ask(question)

    assert reply.calls == ()
    assert reply.text.startswith(f'(offline model) I cannot answer "{question}"')
    assert "trunkline.toml" in reply.text
    assert reply.finish == "stop"


@pytest.mark.parametrize(
    ("question", "needed"),
    [
        ("What's the weather?", "For get_weather I need `city`."),
        ("refund my invoice", "For refund I need `invoice_id`"),
    ],
)
async def test_asks_for_what_it_needs(question: str, needed: str) -> None:
    reply = await ask(question)

    assert reply.calls == ()
    assert needed in reply.text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (5, "The result of get_weather is 5."),
        (2.0, "The result of get_weather is 2."),
        (True, "The result of get_weather is yes."),
        ("sunny", "The result of get_weather is sunny."),
        ("Sunny, and 21 degrees", "Sunny, and 21 degrees."),
        (None, "The result of get_weather is nothing."),
        ([], "The result of get_weather is nothing."),
        ([1, "two"], "get_weather returned 1, two."),
        ({"sky": "clear", "high": 21}, "get_weather returned sky: clear, high: 21."),
        ({"days": [{"high": 21}, {"high": 22}]}, "get_weather returned days: ((high: 21), (high: 22))"),
        (list(range(12)), "get_weather returned 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more."),
    ],
)
async def test_results_as_a_sentence(content: object, text: str) -> None:
    reply = await ask("What's the weather in Paris?", *called("get_weather", {"city": "Paris"}, content))

    assert reply.calls == ()
    assert reply.text == text


async def test_parallel_results_in_the_order_of_the_calls() -> None:
    first, second = ToolCall(id="1", tool="add"), ToolCall(id="2", tool="multiply")
    results = ToolMessage("1", "add", 5), ToolMessage("2", "multiply", 6)

    reply = await ask("Add 2 and 3 and multiply 2 by 3", AssistantMessage(calls=(first, second)), *results)

    assert reply.text == "The result of add is 5. The result of multiply is 6."


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("no such city", "get_weather failed: no such city. Try again later, or ask for something else."),
        (
            {"message": "no such city", "hint": "Spell it in full."},
            "get_weather failed: no such city. Spell it in full.",
        ),
    ],
)
async def test_a_failed_tool_is_reported_and_not_repeated(content: object, text: str) -> None:
    reply = await ask("What's the weather in Paris?", *called("get_weather", {"city": "Paris"}, content, failed=True))

    assert reply.calls == ()
    assert reply.text == text


async def test_a_second_tool_for_the_rest_of_the_question() -> None:
    """After the first result, another tool may be called once; its arguments come from what was found."""
    question = "Find the invoice of Alice and refund it"
    assert calls(await ask(question)) == [("invoices.find", {"customer": "Alice"})]

    found = called("invoices.find", {"customer": "Alice"}, [{"invoice_id": 17, "amount_cents": 500}])
    reply = await ask(question, *found)
    assert calls(reply) == [("refund", {"invoice_id": 17, "amount_cents": 500})]

    done = called("refund", {"invoice_id": 17, "amount_cents": 500}, "Refunded.")
    reply = await ask(question, *found, *done)
    assert reply.calls == ()
    assert "The result of refund is Refunded." in reply.text


async def test_a_failure_ends_it() -> None:
    """What depends on a failed call is not tried."""
    failed = called("invoices.find", {"customer": "Alice"}, "no such customer", failed=True)

    reply = await ask("Find the invoice of Alice and refund 500 cents of invoice 17", *failed)

    assert reply.calls == ()
    assert reply.text.startswith("invoices.find failed: no such customer.")


async def test_no_more_than_two_rounds() -> None:
    """A third tool that would fit is left alone."""
    first = called("invoices.get", {"invoice_id": "INV-7"}, {"customer": "Alice"})
    second = called("get_weather", {"city": "Oslo"}, "rain")

    reply = await ask("INV-7, the weather in Oslo, and translate it to French", *first, *second)

    assert reply.calls == ()


async def test_the_same_tool_is_not_asked_again() -> None:
    """Not even when words remain that the first call did not use."""
    fetched = called("invoices.get", {"invoice_id": "INV-1042"}, {"total": 20})
    two = (tool("invoices.get", "Fetch one invoice.", {"invoice_id": TEXT}), TOOLS[2])

    for question in ("Why was I charged twice for INV-1042?", "Fetch INV-1042 and INV-1043 and the invoice INV-1044"):
        reply = await ask(question, *fetched, tools=two)
        assert reply.calls == ()
        assert reply.text == "invoices.get returned total: 20."


async def test_what_a_call_used_speaks_for_no_other_tool() -> None:
    """The identifier belongs to the call that it was given to."""
    fetched = called("invoices.get", {"invoice_id": "INV-1042"}, {"total": 20})
    credit = tool("credits.get", "Fetch one credit note.", {"invoice_id": TEXT})

    reply = await ask("Why was I charged twice for INV-1042?", *fetched, tools=(TOOLS[4], credit))

    assert reply.calls == ()


async def test_numbers_too_long_to_be_exact_are_not_arguments() -> None:
    reply = await ask(f"Add {'9' * 20} and 2")

    assert "For add I need" in reply.text


@pytest.mark.parametrize("question", ["Add 1 and 2", "Add 1 and 2 and get the weather in Rome"])
async def test_it_comes_to_an_end(question: str) -> None:
    """No call is made twice, and after a few turns there is an answer."""
    history: list[AssistantMessage | ToolMessage] = []
    made: list[tuple[str, dict[str, Any]]] = []
    reply = await ask(question)
    for _ in range(4):
        if not reply.calls:
            break
        made += calls(reply)
        history.append(AssistantMessage(calls=reply.calls))
        history += [ToolMessage(call.id, call.tool, {"city": "Rome", "a": 1}) for call in reply.calls]
        reply = await ask(question, *history)

    assert made
    assert not reply.calls
    assert all(made.count(one) == 1 for one in made)


async def test_only_the_last_question_counts() -> None:
    history = (UserMessage("Add 2 and 3"), AssistantMessage("The result of add is 5."))
    query = ModelQuery(model="offline:large", messages=(*history, UserMessage("weather in Oslo")), tools=TOOLS)

    reply = await OfflineModel().complete(query, lambda _: None)

    assert calls(reply) == [("get_weather", {"city": "Oslo"})]
    assert reply.model == "offline:large"


async def test_the_same_query_gets_the_same_reply() -> None:
    question = "Add 2 and 3 and tell me the weather in Paris"

    assert await ask(question) == await ask(question)


async def test_pydantic_schemas_are_understood() -> None:
    """References, and optionals written as `anyOf`."""
    spec = ToolSpec(
        name="lights",
        description="Switch the lights.",
        parameters={
            "type": "object",
            "properties": {
                "room": {"$ref": "#/$defs/Room"},
                "level": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
            },
            "required": ["room"],
            "$defs": {"Room": {"type": "string", "enum": ["kitchen", "hall"]}},
        },
    )

    assert calls(await ask("lights in the hall, level 40", tools=(spec,))) == [
        ("lights", {"room": "hall", "level": 40})
    ]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"properties": "nonsense"},
        {"properties": {"a": 5, "b": {"type": ["string", "null"]}, "c": {"pattern": "([", "enum": "x"}}},
        {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]},
    ],
)
async def test_strange_schemas_do_no_harm(parameters: dict[str, Any]) -> None:
    spec = ToolSpec(name="weather", description="The weather.", parameters=parameters)

    reply = await ask("weather in Oslo", tools=(spec,))

    assert reply.finish in {"tool_call", "stop"}


async def test_usage_is_counted() -> None:
    """max(⌈characters / 4⌉, words), for the prompt and for the reply."""
    assert [tokens(text) for text in ("", "a", "four", "fives", "a b c d e")] == [0, 1, 1, 2, 5]
    short = await ask("Hello!", tools=())
    long = await ask("Hello! " * 50, tools=())
    with_tools = await ask("Hello!")

    assert short.usage.input_tokens == tokens("Hello!")
    assert long.usage.input_tokens > 50
    assert with_tools.usage.input_tokens > 300
    assert short.usage.output_tokens == tokens(short.text)


async def test_an_output_limit_cuts_the_reply() -> None:
    pieces: list[str] = []
    query = ModelQuery(model="offline:small", messages=(UserMessage("Hello!"),), max_output_tokens=5)

    reply = await OfflineModel().complete(query, pieces.append)

    assert reply.finish == "length"
    assert reply.usage.output_tokens <= 5
    assert reply.text == "".join(pieces) != ""


async def test_words_can_be_slowed_down() -> None:
    """`delay` seconds pass before each word."""
    times: list[float] = []
    query = ModelQuery(model="offline:small", messages=(UserMessage("Hello!"),), max_output_tokens=8)

    await OfflineModel(delay=0.01).complete(query, lambda _: times.append(time.monotonic()))

    assert len(times) > 3
    assert times[-1] - times[0] >= 0.009 * (len(times) - 1)


async def test_an_unknown_offline_model() -> None:
    with pytest.raises(ModelFailed, match="no model 'offline:huge'") as caught:
        await OfflineModel().complete(ModelQuery(model="offline:huge"), lambda _: None)
    assert caught.value.data["retryable"] is False


async def test_it_is_fast() -> None:
    """A short question with three tools: 40 µs on the machine it was written on; here, a generous bound."""
    model = OfflineModel()
    query = ModelQuery(model="offline:small", messages=(UserMessage("What is 2 + 3?"),), tools=TOOLS[:3])
    best = min([await _took(model, query) for _ in range(200)])

    assert best < 0.001


async def _took(model: OfflineModel, query: ModelQuery) -> float:
    started = time.perf_counter()
    await model.complete(query, lambda _: None)
    return time.perf_counter() - started
