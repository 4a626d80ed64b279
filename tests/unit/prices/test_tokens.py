"""How many tokens a question can have at most."""

from hypothesis import given
from hypothesis import strategies as st

from trunkline.contracts.dialog import (
    AssistantMessage,
    Message,
    ModelQuery,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from trunkline.models import OfflineModel
from trunkline.prices import most_input_tokens, most_tokens

texts = st.text(max_size=200)
calls = st.builds(ToolCall, id=texts, tool=texts, arguments=st.dictionaries(texts, texts, max_size=3))
messages = st.one_of(
    st.builds(UserMessage, texts),
    st.builds(AssistantMessage, texts, st.lists(calls, max_size=2).map(tuple)),
    st.builds(ToolMessage, texts, texts, texts),
)
tools = st.builds(ToolSpec, name=st.from_regex(r"[a-z]{1,20}\.[a-z]{1,20}", fullmatch=True), description=texts)
queries = st.builds(
    ModelQuery,
    model=st.just("offline:small"),
    instructions=texts,
    messages=st.lists(messages, max_size=5).map(tuple),
    tools=st.lists(tools, max_size=3, unique_by=lambda tool: tool.name).map(tuple),
)


@given(st.text())
def test_a_text_has_at_most_as_many_tokens_as_bytes(text: str) -> None:
    """The worst tokenizer knows no text but single bytes, and puts a space before."""
    assert most_tokens(text) >= len(f" {text}".encode(errors="replace"))


def test_what_utf8_cannot_say_is_counted_too() -> None:
    assert most_tokens("\ud800") >= 3


@given(queries)
async def test_no_question_has_more_than_the_bound(query: ModelQuery) -> None:
    reply = await OfflineModel().complete(query, lambda _: None)
    assert reply.usage.input_tokens <= most_input_tokens(query)


@given(queries, texts, st.sampled_from(["instructions", "message", "call", "result", "tool"]))
def test_whatever_is_said_more_is_counted(query: ModelQuery, text: str, where: str) -> None:
    more: dict[str, ModelQuery] = {
        "instructions": ModelQuery(
            model="", instructions=query.instructions + text, messages=query.messages, tools=query.tools
        ),
        "message": _with(query, UserMessage(text)),
        "call": _with(query, AssistantMessage(calls=(ToolCall(id="1", tool="t", arguments={"a": text}),))),
        "result": _with(query, ToolMessage("1", "t", text)),
        "tool": ModelQuery(
            model="",
            instructions=query.instructions,
            messages=query.messages,
            tools=(*query.tools, ToolSpec(name="t", description=text)),
        ),
    }
    assert most_input_tokens(more[where]) >= most_input_tokens(query) + len(text.encode())


def _with(query: ModelQuery, message: Message) -> ModelQuery:
    return ModelQuery(model="", instructions=query.instructions, messages=(*query.messages, message), tools=query.tools)
