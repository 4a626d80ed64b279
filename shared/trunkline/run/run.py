"""What a flow works with. Every `await run.…` is a step: written once, served from the log ever after."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from trunkline.agent import AUTO, Agent, chain, checked_temperature
from trunkline.contracts.dialog import Message, ModelQuery, ModelReply, ToolSpec, UserMessage
from trunkline.contracts.errors import InvalidArguments, ToolFailed
from trunkline.contracts.ids import StepName, child_run_id, tool_token
from trunkline.contracts.messages import Call, Fact, Failure, Head, Parent, Part, Result, Route, Task, Turn
from trunkline.contracts.subjects import TIMER, RunKey, Subject
from trunkline.models.port import is_offline
from trunkline.run.ending import run_failed
from trunkline.run.engine import MAX_DEPTH, Engine, Wanted
from trunkline.run.inputs import Asked, CallInput, ModelInputs, QuestionInput
from trunkline.run.model_step import ModelCalls
from trunkline.run.naming import next_step
from trunkline.run.shortening import Shortening
from trunkline.run.state import told_before
from trunkline.run.tiers import Tiered, TierUse, named_models

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


@dataclass(frozen=True)
class Surroundings:
    """What is around an agent now: which models a name stands for, which tools and agents there are.

    Who is not there yet is waited for a little: at the start of a platform everybody comes at once.
    """

    resolve_model: Callable[[str], tuple[str, ...]]
    tool_specs: Callable[[Sequence[str]], Awaitable[Sequence[ToolSpec]]]
    knows_tool: Callable[[str], Awaitable[bool]]
    knows_agent: Callable[[str], Awaitable[bool]]


class Step(Generic[T]):
    """Something to await, once. Its name is given when it is made, so `gather(run.call(a), run.call(b))` is stable."""

    def __init__(self, work: Callable[[str], Coroutine[Any, Any, T]]) -> None:
        self._name = next_step()
        self._work = work

    @property
    def name(self) -> str:
        return self._name

    def __await__(self) -> Generator[Any, None, T]:
        return self._work(self._name).__await__()


class Run:
    """One run, as the agent's code sees it."""

    def __init__(
        self, engine: Engine, agent: Agent, models: ModelCalls, surroundings: Surroundings, *, version: str = ""
    ) -> None:
        self._engine = engine
        self._models = models
        self._surroundings = surroundings
        self._inputs = ModelInputs(self.messages[:-1])
        self._version = version
        self.agent = agent
        self.tier_use = TierUse()
        self.shortening = Shortening(self, engine, surroundings.tool_specs)

    @property
    def id(self) -> str:
        return self._engine.key.run

    @property
    def conversation(self) -> str:
        return self._engine.key.conversation

    @property
    def text(self) -> str:
        """The question."""
        return self._engine.state.question

    @property
    def parts(self) -> tuple[Part, ...]:
        """The questions that the router found in it, when it is more than one."""
        return self._engine.state.task.parts if self._engine.state.task else ()

    @property
    def user(self) -> str:
        return self._engine.state.user

    @property
    def asked_by(self) -> tuple[str, ...]:
        """The agents that wait for this run's answer, the first one first; none when a user asked."""
        parent = self._engine.state.task.parent if self._engine.state.task else None
        return (*parent.above, parent.agent) if parent else ()

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation up to and with the question."""
        return (*told_before(self._engine.state), UserMessage(self.text))

    async def recent(self) -> tuple[Message, ...]:
        """The conversation up to and with the question, in at most the agent's `history_tokens` and the question's own:
        a summary of what was long ago, and the newest exchanges word by word. A new summary is a model step.
        """
        return (*await self.shortening.conversation(), UserMessage(self.text))

    def model(
        self,
        prompt: str | Sequence[Message],
        *,
        model: str | Sequence[str] = "",
        instructions: str | None = None,
        tools: Sequence[str] = (),
        temperature: float | None = None,
        max_output_tokens: int | None = None,
        aside: bool = False,
        exact: bool = False,
    ) -> Step[ModelReply]:
        """Ask a model, by default the agent's, with the agent's instructions and no tools; of several models, each is
        asked when the ones before it fail. `temperature` and `max_output_tokens` instead of the agent's. Said `aside`,
        the reply is not shown to whoever watches, and the agent's model makes it where only the offline one would. If
        it is `exact`, a budget refuses it rather than have the agent ask something cheaper. Raises ModelFailed.
        """
        messages = (UserMessage(prompt),) if isinstance(prompt, str) else tuple(prompt)
        told = self.agent.instructions if instructions is None else instructions
        named = named_models(chain(model) if model else self.agent.models, self._engine.state.task)
        head = Head(model=", ".join(named), instructions=told, tools=tuple(tools))
        asked = ModelQuery(
            model="",
            instructions=told,
            messages=messages,
            max_output_tokens=self.agent.max_output_tokens if max_output_tokens is None else max_output_tokens,
            temperature=self.agent.temperature if temperature is None else checked_temperature("a model", temperature),
        )

        async def queries() -> Sequence[ModelQuery]:
            models = self._resolved(named)
            if aside and all(map(is_offline, models)):
                own = self._resolved(named_models(self.agent.models, self._engine.state.task))
                models = models if all(map(is_offline, own)) else own
            specs = tuple(await self._surroundings.tool_specs(tools))
            return [msgspec.structs.replace(asked, model=each, tools=specs) for each in models]

        made = Step(lambda step: self._models.reply(step, queries, self._inputs.of(step, head, messages)))
        if self.agent.models == (AUTO,) and not model:
            self.tier_use.steps[made.name] = named[0]
        if aside:
            self._models.asides.add(made.name)
        if exact:
            self._models.exact.add(made.name)
        return made

    def _resolved(self, named: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(found for name in named for found in self._surroundings.resolve_model(name)))

    def tiered(self) -> Tiered:
        """How the built-in loop asks the agent's models."""
        return Tiered(self, self._engine)

    def call(self, tool: str, /, **arguments: Any) -> Step[Any]:  # any JSON value
        """Run a tool and give its value. Raises ToolFailed."""
        return Step(lambda step: self._value(self._called(step, tool, arguments)))

    def ask(self, agent: str, text: str) -> Step[str]:
        """Delegate: a run of its own, by another agent; its answer's text. Raises RunFailed, whose data has that
        run's failure's and its `code`.
        """
        return Step(lambda step: self._text(self._asked(step, agent, text)))

    def sleep(self, seconds: float) -> Step[None]:
        """Be woken after `seconds`, by whichever worker is there then; nothing is held meanwhile."""

        if not math.isfinite(seconds) or seconds < 0:
            raise InvalidArguments(f"A run cannot sleep for {seconds} seconds.", "Give a number of seconds from 0.")

        async def rest(step: str) -> None:
            await self._value(self._result(step, TIMER, {"seconds": round(seconds, 3)}))

        return Step(rest)

    def note(self, what: str, **data: Any) -> Step[None]:  # any JSON value
        """Leave a remark on the log; it changes nothing."""
        engine = self._engine
        return Step(lambda step: engine.inline(engine.note(self.agent.name, step, what, **data)))

    def result(self, tool: str, arguments: dict[str, Any]) -> Step[Result]:
        """Like `call`, and a failure is a result too."""
        return Step(lambda step: self._called(step, tool, arguments))

    def outcome(self, agent: str, text: str, *, tier: str = "") -> Step[Result]:
        """Like `ask`, and a failure is a result too. `tier`: of models, for an agent that leaves it open."""
        return Step(lambda step: self._asked(step, agent, text, tier))

    async def _called(self, step: str, tool: str, arguments: dict[str, Any]) -> Result:
        if tool not in self.agent.tool_names:
            failure = Failure(
                code="unknown_tool",
                message=f"Agent {self.agent.name} may not use a tool {tool!r}.",
                hint=f"Its tools are: {', '.join(self.agent.tool_names) or 'none'}.",
            )
            return await self._refused(step, CallInput(tool, arguments), failure)
        if self._engine.is_new(step) and not await self._engine.inline(self._surroundings.knows_tool(tool)):
            failure = Failure(
                code="unknown_tool",
                message=f"No executor offers the tool {tool!r} now.",
                hint="Start the service that has it; `trunkline tools` lists what is there.",
            )
            return await self._refused(step, CallInput(tool, arguments), failure)
        return await self._result(step, tool, arguments)

    async def _result(self, step: str, tool: str, arguments: dict[str, Any]) -> Result:
        asked = CallInput(tool, arguments)
        deadline = self._engine.state.deadline

        def call(turn: Turn) -> tuple[Subject, Fact]:
            fact = Call(
                agent=self.agent.name,
                version=self._version,
                arguments=arguments,
                input_hash=asked.hash,
                turn=turn,
                deadline=deadline,
            )
            return self._engine.key.step("call", tool_token(tool), step), fact

        return await self._engine.result_of(Wanted(step, asked, call))

    async def _asked(self, step: str, agent: str, text: str, tier: str = "") -> Result:
        engine, asked = self._engine, QuestionInput(agent, text)
        depth = (engine.state.task.parent.depth if engine.state.task and engine.state.task.parent else 0) + 1
        if depth > MAX_DEPTH:
            failure = Failure(code="too_deep", message=f"Delegation is {depth} deep.", hint=f"At most {MAX_DEPTH}.")
            return await self._refused(step, asked, failure)
        if engine.is_new(step) and not await engine.inline(self._surroundings.knows_agent(agent)):
            failure = Failure(
                code="unknown_agent",
                message=f"There is no agent {agent!r} now.",
                hint="`trunkline agents` lists who is there.",
            )
            return await self._refused(step, asked, failure)
        child = RunKey(engine.key.tenant, engine.key.conversation, child_run_id(engine.key.run, StepName(step)))

        def task(turn: Turn) -> tuple[Subject, Fact]:
            parent = Parent(
                run=engine.key.run,
                agent=self.agent.name,
                step=step,
                above=self.asked_by,
                root=engine.state.root,
                turn=turn,
                depth=depth,
                input_hash=asked.hash,
            )
            fact = Task(
                text=text,
                user=self.user,
                route=Route(source="delegated"),
                tier=tier,
                parent=parent,
                deadline=engine.state.deadline,
            )
            return child.step("task", agent), fact

        return await engine.result_of(Wanted(step, asked, task))

    async def _refused(self, step: str, asked: Asked, failure: Failure) -> Result:
        """A step that cannot be carried out: its result is put on the log at once."""
        key, agent = self._engine.key, self.agent.name

        def result(turn: Turn) -> tuple[Subject, Fact]:
            return key.step("result", agent, step), Result(turn=turn, input_hash=asked.hash, error=failure)

        return await self._engine.result_of(Wanted(step, asked, result))

    async def _value(self, result: Coroutine[Any, Any, Result]) -> Any:  # any JSON value
        found = await result
        if found.error:
            raise ToolFailed(found.error.message, found.error.hint, code=found.error.code)
        return found.value

    async def _text(self, result: Coroutine[Any, Any, Result]) -> str:
        found = await result
        if found.error:
            raise run_failed(found.error, agent=found.agent)
        return str(found.value)
