"""Money for a run's model calls: what a call may cost at most is held back before it is paid, and settled behind it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

import msgspec
import structlog

from trunkline.budget import PAY_WITHIN, Budgets, Hold, Spender, Warned, cost_of
from trunkline.contracts.dialog import ModelQuery, Usage
from trunkline.contracts.errors import OverBudget, UnknownPrice
from trunkline.contracts.messages import Model, Prompt
from trunkline.prices import Money, PriceBook, most_input_tokens

log = structlog.get_logger("trunkline.run")

CHEAPER = "cheaper"
"""The note of a call that was asked in place of one that a budget refused."""
Others = Callable[[ModelQuery], Iterable[ModelQuery]]
"""What may be asked in place of a query that the budgets refuse, in this order."""


class Background:
    """Work that a turn goes on beside, and does not end before. Use as `async with Background() as background:`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def done(self) -> None:
        """Once all that was begun has ended, well or badly."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("work behind a turn failed", action="background_failed", work=task.get_name(), error=str(error))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.done()


@dataclass(frozen=True, slots=True)
class Grant:
    """What the budgets say to a query. With `hold` it may be paid until `end`, by the event loop's clock; without, as
    long as nobody likes. `dearer`: what was refused, and this is asked in its place. `refusal`: nothing may be asked;
    `kept`: nothing need be, the reply is there.
    """

    query: ModelQuery
    hold: Hold | None = None
    end: float = 0.0
    dearer: OverBudget | None = None
    refusal: OverBudget | UnknownPrice | None = None
    kept: bool = False

    @property
    def too_late(self) -> bool:
        """Whether what is held may have been given back meanwhile, since this process stood still."""
        return self.hold is not None and asyncio.get_running_loop().time() > self.end


@dataclass(frozen=True, slots=True)
class Allowance:
    """Who spends, within which budgets. What need not be waited for is done in the `background`."""

    budgets: Budgets
    spender: Spender
    background: Background

    async def hold(self, query: ModelQuery, most: Money, call: str) -> Grant:
        """Raises OverBudget, BusUnavailable."""
        end = asyncio.get_running_loop().time() + PAY_WITHIN
        hold = await self.budgets.reserve(self.spender, most, call=call)
        return Grant(query, hold, end) if hold.limits else Grant(query)


class Purse:
    """What a run may spend; without an `allowance`, as much as it likes. `others`: what may be asked in place of a
    query that is refused.
    """

    def __init__(self, prices: PriceBook, allowance: Allowance | None = None, others: Others = lambda _: ()) -> None:
        self.prices = prices
        self._allowance = allowance
        self._others = others

    async def grant(self, query: ModelQuery, rest: Iterable[ModelQuery], call: str, *, exact: bool = False) -> Grant:
        """For `query`, or the first cheaper one that may be asked in its place; `rest` is what the agent's chain has
        behind it, and all that may be if it is `exact`. What the run spent before is settled first: nobody is refused
        for what he did not spend.

        Raises BusUnavailable.
        """
        allowance = self._allowance
        if allowance is None or self.prices.is_free(query.model):
            return Grant(query)
        await allowance.background.done()
        try:
            most = await self._most(query)
        except UnknownPrice as error:
            return Grant(query, refusal=None if allowance.budgets.settings.unknown_price == "allow" else error)
        try:
            return await allowance.hold(query, most, call)
        except OverBudget as error:
            others = () if exact else self._others(query)
            cheaper = self._cheaper(itertools.chain(others, rest), most)
            return await self._in_place(allowance, cheaper, error, call) or Grant(query, refusal=error)

    async def _in_place(
        self, allowance: Allowance, others: AsyncIterator[tuple[ModelQuery, Money]], refusal: OverBudget, call: str
    ) -> Grant | None:
        """For the first of the others that fits."""
        async for query, most in others:
            with contextlib.suppress(OverBudget):
                return replace(await allowance.hold(query, most, call), dearer=refusal)
        return None

    async def _cheaper(self, others: Iterable[ModelQuery], most: Money) -> AsyncIterator[tuple[ModelQuery, Money]]:
        """Each that costs less than all before it; one whose price is not known never does."""
        for query in others:
            with contextlib.suppress(UnknownPrice):
                needed = await self._most(query)
                if needed < most:
                    most = needed
                    yield query, most

    async def _most(self, query: ModelQuery) -> Money:
        """What it may cost. Raises UnknownPrice."""
        if self.prices.is_free(query.model):
            return Money()
        await self.prices.prepare(query.model)
        return self.prices.worst_case(query.model, most_input_tokens(query), query.max_output_tokens)

    def priced(self, fact: Model, asked: str) -> Model:
        """With its cost, where the price is known and the tokens were counted."""
        if fact.usage == Usage() and not self.prices.is_free(fact.model):
            return fact
        try:
            cost = self.prices.price(fact.model, fact.usage, asked=asked)
        except UnknownPrice:
            return fact
        return msgspec.structs.replace(fact, cost=str(cost), prices=self.prices.version)

    def settle(self, grant: Grant, fact: Model) -> None:
        """What was asked came to this, as the log says by now."""
        if self._allowance and grant.hold:
            cost = cost_of(fact.cost, fact.error.data.get("spent") if fact.error else None, grant.hold.amount)
            self._allowance.background.begin(grant.hold.settle(cost), "settle a budget")

    def release(self, grant: Grant) -> None:
        """Nothing was asked, and no prompt of ours says so. When it may have been given back already, it stays."""
        if self._allowance and grant.hold and not grant.too_late:
            self._allowance.background.begin(grant.hold.release(), "release a budget")


def reserved(prompt: Prompt, grant: Grant) -> Prompt:
    """With what is held back for it; nothing at all for what is certainly not paid, whoever dies behind this prompt."""
    if grant.refusal or grant.kept:
        return msgspec.structs.replace(prompt, reserved=str(Money()))
    if grant.hold is None:
        return prompt
    hold = grant.hold
    return msgspec.structs.replace(prompt, reserved=str(hold.amount), limits=hold.limits, hold=hold.id)


def remarks(grant: Grant, step: str, attempt: int) -> list[tuple[str, str, dict[str, object]]]:
    """What the run shall note of the budgets' word: what, at which step, and the data."""
    found: list[tuple[str, str, dict[str, object]]] = []
    if isinstance(grant.refusal, OverBudget):
        found.append(("refused", f"refused-{step}-{attempt}", _why(grant.refusal)))
    if grant.dearer:
        asked = {"model": grant.query.model, "max_output_tokens": grant.query.max_output_tokens}
        found.append((CHEAPER, f"cheaper-{step}-{attempt}", {**asked, **_why(grant.dearer)}))
    warnings = grant.hold.warnings if grant.hold else ()
    return found + [("budget_warning", f"budget-{warned.kind}-{_window(warned)}", _told(warned)) for warned in warnings]


def _why(refusal: OverBudget) -> dict[str, object]:
    return {"message": refusal.what, **refusal.data}


def _window(warned: Warned) -> str:
    return f"{warned.resets:%Y-%m-%d}" if warned.resets else "all"


def _told(warned: Warned) -> dict[str, object]:
    return {
        "kind": warned.kind,
        "who": warned.who,
        "spent": str(warned.spent),
        "limit": str(warned.limit),
        "resets": warned.resets.isoformat() if warned.resets else "",
    }
