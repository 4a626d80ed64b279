"""An agent is data: what it is for, what it is told, what it may use. Its loop is a function over a `Run`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from trunkline.contracts.errors import InvalidSettings
from trunkline.contracts.ids import checked_token
from trunkline.contracts.registry import Reuse
from trunkline.tool import LEAST_RESULT_TOKENS, Tool

if TYPE_CHECKING:
    from trunkline.run import Run

Flow = Callable[["Run"], Coroutine[Any, Any, str]]
OnDivergence = Literal["fail", "old"]
OverBudgetPolicy = Literal["refuse", "cheaper"]
Check = Callable[[str, str], bool | Awaitable[bool]]
"""Whether the second text is a good answer to the first one."""
AUTO = "auto"
"""As an agent's model: the tier that the router finds fit for the question."""
SMALL, LARGE = "small", "large"
MOST_TEMPERATURE = 2.0


@dataclass(frozen=True, slots=True)
class Say:
    """A canned answer."""

    text: str


def chain(model: str | Sequence[str]) -> tuple[str, ...]:
    """The models that are asked one after the other, as they are named: one, or several."""
    return (model,) if isinstance(model, str) else tuple(model)


class Agent:
    """A definition that any number of workers may run.

    `description` and `examples` are what the router learns from. `model` is a tier of `trunkline.toml` (`small`,
    `large`) or `provider:model`, or several, of which each is asked when the ones before it fail. When all of them
    fail, `fallback` answers: another agent, by its name, or a text, `Say("…")`. `tools` are names of registered tools,
    or functions under `@tool` in the same file; the agent can call nothing else. `delegates` are agents it may ask;
    `max_turns` bounds its loop. With `generalist=True` the router sends here what fits nobody well; a `hidden` agent
    gets only what names it. `on_divergence`: what becomes of a run that was begun by other code of this agent, when
    this code asks for something else: it fails and shows both inputs, or a worker that still has the `old` code
    finishes it, if one is there.

    What it may cost: with the model `auto`, simple questions go to the small tier and hard ones to the large; with
    `check`, the small one answers, and the large one once more when that answer does not pass: a function, or "model",
    which asks the small tier to judge. `max_output_tokens` bounds each reply, and so what is reserved for it. When a
    budget does not allow a call, the run ends, or goes on `cheaper`: with the small tier, then with short answers.
    Answers that nothing but models went into are given again for `reuse_seconds`: to the same user (`private`), to
    everybody (`shared`: only for what is nobody's own), or never (`off`); `alike`, also to questions that mean the
    same. At `temperature` 0, a model's reply to the very same words is reused as well.

    How long its prompts get: `history_tokens` of the conversation word by word, and a summary of what was before;
    `result_tokens` of each tool's result; the `most_tools` that fit the question best.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str = "",
        examples: Sequence[str] = (),
        instructions: str = "",
        model: str | Sequence[str] = "small",
        fallback: str | Say | None = None,
        tools: Sequence[str | Tool] = (),
        delegates: Sequence[str] = (),
        max_turns: int = 12,
        generalist: bool = False,
        hidden: bool = False,
        on_divergence: OnDivergence = "fail",
        check: Check | Literal["model"] | None = None,
        max_output_tokens: int = 4096,
        over_budget: OverBudgetPolicy = "refuse",
        reuse: Reuse = "private",
        reuse_seconds: float = 3600.0,
        alike: bool = False,
        temperature: float | None = None,
        history_tokens: int = 8000,
        result_tokens: int = 4000,
        most_tools: int = 24,
    ) -> None:
        self.name = checked_token(name, "agent")
        self.description = description
        self.examples = tuple(examples)
        self.instructions = instructions
        self.models = chain(model)
        self.fallback = fallback if fallback is None or isinstance(fallback, Say) else checked_token(fallback, "agent")
        self.tools = tuple(tools)
        self.delegates = tuple(checked_token(other, "agent") for other in delegates)
        self.generalist = generalist
        self.hidden = hidden
        if not self.models or not all(self.models):
            raise InvalidSettings(f"agent {name}: a model has no name.", "Name a tier, or `provider:model`.")
        if fallback == name:
            raise InvalidSettings(f"agent {name} is its own fallback.", 'Name another agent, or a text: `Say("…")`.')
        if max_turns < 1:
            raise InvalidSettings(f"agent {name}: max_turns is {max_turns}.", "It needs at least one turn.")
        self.max_turns = max_turns
        if on_divergence not in get_args(OnDivergence):
            raise InvalidSettings(f"agent {name}: on_divergence is {on_divergence!r}.", 'It is "fail" or "old".')
        self.on_divergence = on_divergence
        self.check = _check(name, self.models, check)
        self.max_output_tokens = _at_least(1, name, "max_output_tokens", max_output_tokens)
        if over_budget not in get_args(OverBudgetPolicy):
            raise InvalidSettings(f"agent {name}: over_budget is {over_budget!r}.", 'It is "refuse" or "cheaper".')
        self.over_budget = over_budget
        _check_reuse(name, reuse, reuse_seconds, alike=alike)
        self.reuse = reuse
        self.reuse_seconds = reuse_seconds
        self.alike = alike
        self.temperature = checked_temperature(f"agent {name}", temperature)
        self.history_tokens = _at_least(200, name, "history_tokens", history_tokens)
        self.result_tokens = _at_least(LEAST_RESULT_TOKENS, name, "result_tokens", result_tokens)
        self.most_tools = _at_least(1, name, "most_tools", most_tools)
        self._flow: Flow | None = None

    @property
    def model(self) -> str:
        """Its models as it names them, in a word."""
        return ", ".join(self.models)

    @property
    def wanted_models(self) -> tuple[str, ...]:
        """What its runs may ask without naming it: tiers, and `provider:model`."""
        cheaper = (SMALL,) if self.over_budget == "cheaper" else ()
        tiers = (SMALL, LARGE) if AUTO in self.models or self.check else cheaper
        return tuple(dict.fromkeys([*tiers, *(model for model in self.models if model != AUTO)]))

    @property
    def own_tools(self) -> tuple[Tool, ...]:
        """The tools that are defined beside the agent."""
        return tuple(tool for tool in self.tools if isinstance(tool, Tool))

    @property
    def tool_names(self) -> tuple[str, ...]:
        """The allowlist."""
        return tuple(tool.name if isinstance(tool, Tool) else tool for tool in self.tools)

    def flow(self, function: Flow) -> Flow:
        """Replace the built-in loop by `async def function(run: Run) -> str`."""
        if not inspect.iscoroutinefunction(function):
            raise InvalidSettings(f"the flow of agent {self.name} is not an async function.", "Write `async def`.")
        if self.check:
            raise InvalidSettings(
                f"agent {self.name} has a check, and a flow of its own, whose answers nobody checks.",
                'Leave out `check`, and look at the reply in the flow: `run.model(…, model="large")` asks again.',
            )
        self._flow = function
        return function

    @property
    def own_flow(self) -> Flow | None:
        return self._flow

    def __repr__(self) -> str:
        return f"Agent({self.name!r})"


def checked_temperature(who: str, temperature: float | None) -> float | None:
    """Raises InvalidSettings."""
    if temperature is None or (type(temperature) in (int, float) and 0 <= temperature <= MOST_TEMPERATURE):
        return temperature
    raise InvalidSettings(
        f"{who}: temperature is {temperature!r}.",
        f"Give a number from 0 to {MOST_TEMPERATURE:g}, or None, which leaves it to the provider.",
    )


def _check_reuse(name: str, reuse: Reuse, seconds: float, *, alike: object) -> None:
    """Raises InvalidSettings."""
    if reuse not in get_args(Reuse):
        raise InvalidSettings(f"agent {name}: reuse is {reuse!r}.", 'It is "private", "shared" or "off".')
    if type(seconds) not in (int, float) or not 0 < seconds < math.inf:
        raise InvalidSettings(
            f"agent {name}: reuse_seconds is {seconds!r}.", 'Give a number above 0; reuse="off" gives no answer again.'
        )
    if type(alike) is not bool or (alike and reuse == "off"):
        raise InvalidSettings(
            f"agent {name}: alike is {alike!r}, and reuse {reuse!r}.",
            'Write alike=True beside reuse="private" or reuse="shared", or leave it out.',
        )


def _at_least(least: int, name: str, what: str, value: int) -> int:
    if type(value) is not int or value < least:
        raise InvalidSettings(f"agent {name}: {what} is {value!r}.", f"Give a whole number from {least}.")
    return value


def _check(name: str, models: Sequence[str], check: Check | Literal["model"] | None) -> Check | Literal["model"] | None:
    """Raises InvalidSettings for tiers that cannot be chosen, and a check that nobody can make."""
    if AUTO in models and len(models) > 1:
        raise InvalidSettings(
            f'agent {name}: "auto" stands beside other models.', 'Write model="auto" alone: it means small or large.'
        )
    if check is None:
        return None
    if check != "model" and not callable(check):
        raise InvalidSettings(
            f"agent {name}: check is {check!r}.",
            'Give a function of question and answer that says whether the answer is good, or "model".',
        )
    if tuple(models) not in ((AUTO,), (SMALL,)):
        raise InvalidSettings(
            f"agent {name} has a check, and the model {', '.join(models)}: the small tier answers, "
            "and the large one when that does not pass.",
            'Write model="auto" or model="small", or leave out `check`.',
        )
    return check
