"""The product, broken on purpose: what the simulation must notice, and which law it must name.

A mutant replaces a piece of a function's source. When the product's text has changed, it says so: write it anew.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any

from tests.simulation import laws, spending
from tests.simulation.scenario import A_CALL, Asked, Fault
from tests.simulation.world import MORNING
from trunkline.prices import Money


@dataclass(frozen=True, slots=True)
class Edit:
    """In the function `name` of `module`, which may be a method, each text of `changes` becomes another."""

    module: str
    name: str
    changes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Mutant:
    """`law` is the one that the checker must name first, within `seeds` seeds; `emphasis`: of scenarios, what brings
    out the difference.
    """

    law: str
    edits: tuple[Edit, ...]
    seeds: int = 600
    emphasis: Mapping[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """The product is broken while inside."""
        with contextlib.ExitStack() as stack:
            for edit in self.edits:
                stack.enter_context(_edited(edit))
            yield


_OPEN = "self._open(step, attempt, grant, asked, taken_over=taken_over)"
_MAKE = "self._make(step, attempt, grant, asked.hash, end)"
_GOES_ON = """\
            await lease.ack()
            lease.fresh = False
            while carrier(state) == lease.sequence and state.answer is None:
                await asyncio.sleep(0.3)
                state = await self._state(event, lease)
            lease.sequence, lease.delivery = carrier(state), 1
            state.answer = state.answer or await self._work(state, lease, stop, background)
"""
_ONE_LOOKS = (Asked(0.0, "r1", "c1", "solo", "r1|l", True),)
_ONE_BOOKS = (Asked(0.0, "r1", "c1", "solo", "r1|b", True),)
_TWO_ASK = (Asked(0.0, "r1", "c1", "fan", "r1|", True), Asked(0.001, "r2", "c2", "fan", "r2|", True))
_MANY_ASK = tuple(Asked(1.3 * i, f"r{i}", f"c{i}", "solo", f"r{i}|", True) for i in range(1, 13))
_ONE_CALL = {"tenant-day": Money(int(1.3 * A_CALL))}
_ENOUGH = {"tenant-day": Money(20 * A_CALL)}
_STANDS_STILL = (Fault(14, "freeze"),)
_GRANT = "await self._grant(step, attempt, chain, tries.model)"
_AGAIN = tuple(Fault(event, "again") for event in range(10, 100, 6))


def _mutant(law: str, module: str, name: str, *changes: tuple[str, str], **emphasis: Any) -> Mutant:
    return Mutant(law, (Edit(f"trunkline{module}", name, changes),), emphasis=emphasis)


MUTANTS: dict[str, Mutant] = {
    "no create-only fence": Mutant(
        laws.ONCE,
        (
            Edit(
                "trunkline.bus.append",
                "_attempt",
                (
                    (
                        "headers = _FENCE if fence == str(subject) else _FENCE | {EXPECTED_SUBJECT: fence}",
                        "headers = {}",
                    ),
                ),
            ),
            Edit(
                "trunkline.bus.provision",
                "streams",
                (('"discard_new_per_subject": True', '"discard_new_per_subject": False'),),
            ),
        ),
    ),
    "pay before the prompt": _mutant(
        laws.FACTS_FIRST,
        ".run.model_step",
        "ModelCalls._try",
        (f"await {_OPEN}", "pass"),
        (
            f"fact = await {_MAKE}",
            f"fact = await {_MAKE}\n        await {_OPEN}",
        ),
    ),
    "effect before started": _mutant(
        laws.FACTS_FIRST,
        "_tools.executor",
        "Executor._attempt",
        ("    outcome = await self._trying.run(state, stop)\n", ""),
        (
            "mark = await self._start(",
            "outcome = await self._trying.run(state, stop)\n    mark = await self._start(",
        ),
    ),
    "a doubtful effect is run again": _mutant(
        laws.NOT_TWICE,
        "_tools.call_state",
        "_after_attempt",
        ("return Leave() if attempt in state.asked else Resolve(attempt)", "return Run(attempt + 1)"),
    ),
    "a worker acknowledges before it appends": _mutant(
        laws.ACK_LAST,
        ".worker.turn",
        "Worker._handle",
        ("state.answer = accounted(", "await lease.ack()\n            state.answer = accounted("),
    ),
    "an executor acknowledges before it appends": _mutant(
        laws.ACK_LAST,
        "_tools.executor",
        "Executor._handle",
        ("outcome = await self._do(", "await lease.ack()\n    outcome = await self._do("),
    ),
    "a stale fold is accepted": _mutant(
        laws.ACK_LAST, ".bus.fold", "fold", ("if not at_least or any(", "if len(messages) > 1 or any(")
    ),
    "every result continues the turn": _mutant(
        laws.ONE_CARRIER,
        ".worker.turn",
        "Worker._handle",
        ("state.answer is None and carrier(state) == lease.sequence", "state.answer is None"),
    ),
    "a worker goes on to the next turn": _mutant(
        laws.ONE_CARRIER,
        ".worker.turn",
        "Worker._handle",
        ("            await lease.ack()\n            return\n", _GOES_ON),
        slots=16,
    ),
    "an older delivery opens an attempt": _mutant(
        laws.ONE_CARRIER, ".run.state", "next_attempt", ("newest.delivery < delivery", "delivery")
    ),
    "a retry does not look what is recorded": _mutant(
        laws.NOT_TWICE,
        ".run.model_step",
        "ModelCalls._try",
        ("if attempt > 1 and (found :=", "if taken_over and (found :="),
        asked=_ONE_LOOKS,
        faults=_AGAIN,
        flaky=0.5,
    ),
    "a takeover does not look what is recorded": _mutant(
        laws.NOT_TWICE,
        ".run.model_step",
        "ModelCalls._try",
        ("if attempt > 1 and (found :=", "if attempt > 99 and (found :="),
        asked=_ONE_LOOKS,
        faults=_AGAIN,
    ),
    "two executors share the tries of a tool": _mutant(
        laws.NOT_TWICE,
        "_tools.trying",
        "Trying._tries",
        (".own:", ".own and not note:"),
        asked=_ONE_LOOKS,
        faults=_AGAIN,
        flaky=0.5,
    ),
    "a stale conversation is accepted": _mutant(
        laws.RIGHT,
        ".worker.turn",
        "Worker._conversation",
        ("at_least=placed", "at_least=0"),
        asked=(Asked(0.0, "r1", "c", "solo", "r1|", False), Asked(1.0, "r2", "c", "solo", "r2|l", False)),
        workers=("1", "1"),
        faults=(),
        replicated=True,
        lag=15.0,
    ),
    "a decision's call is looked for on a replica": _mutant(
        laws.ACK_LAST,
        "_tools.executor",
        "Executor._call_of",
        ("found = await last(", "found = next(iter(await fold("),
        ("event.subject.name, step)))", "event.subject.name, step)))), None)"),
        asked=_ONE_BOOKS,
        replicated=True,
        lag=60.0,
        flaky=0.5,
        reconciles=False,
    ),
    "an executor goes by its own clock": _mutant(
        laws.NOT_TWICE,
        "_tools.executor",
        "Executor._seconds_left",
        (
            "await server_now(self.bus, TRUNK)",
            "await server_now(self.bus, TRUNK) + timedelta(seconds=asyncio.get_running_loop().skew)",
        ),
        asked=_ONE_BOOKS,
        faults=_AGAIN,
        executors=2,
        reconciles=True,
        slow=0.5,
        skew=300.0,
    ),
    "a call is paid without a reserve": _mutant(
        spending.RESERVED,
        ".run.purse",
        "Purse.grant",
        ("return await allowance.hold(query, most, call)", "return Grant(query)"),
    ),
    "a retry reserves nothing": _mutant(
        spending.RESERVED,
        ".run.model_step",
        "ModelCalls._try",
        (f"grant = {_GRANT}", f"grant = {_GRANT} if attempt == 1 or taken_over else grant"),
        limits=_ENOUGH,
        flaky=0.5,
    ),
    "a delegated run has a budget of its own": _mutant(
        spending.RESERVED, ".worker.turn", "Worker._purse", ("state.root", "key.run")
    ),
    "who stood still pays all the same": _mutant(
        spending.RESERVED,
        ".run.model_step",
        "_not_asked",
        ("if grant.too_late:", "if not grant:"),
        asked=_ONE_LOOKS,
        limits=_ENOUGH,
        workers=("1",),
        faults=_STANDS_STILL,
        to_midnight=MORNING,
    ),
    "refunds do not wait": _mutant(
        spending.RESERVED,
        ".budget.refunds",
        "Refunds.look",
        ("time() - self._grace", "time()"),
        asked=_MANY_ASK,
        limits=_ENOUGH,
        delay=0.1,
    ),
    "a limit is compared with what was there before": _mutant(
        spending.WITHIN,
        ".budget.budgets",
        "_Reservation._try",
        ("if total > place", "if total - self._amount.pico > place"),
        asked=_TWO_ASK,
        limits=_ONE_CALL,
    ),
    "a hold is released though its call was paid": _mutant(
        spending.COVERED, ".run.purse", "Purse.settle", ("grant.hold.settle(cost)", "grant.hold.release()")
    ),
    "what closes a hold is not known again": _mutant(
        spending.COVERED,
        ".budget.counters",
        "add",
        ('once="" if what == "reserve" else f"{hold}-{kind}"', 'once=""'),
        limits=_ENOUGH,
        loss=0.1,
    ),
    "a reserve that may not have been heard is taken back": _mutant(
        spending.COVERED,
        ".budget.budgets",
        "_Reservation._try",
        ("tuple(place for place, _ in taken)", "tuple(self._places)"),
        limits=_ENOUGH,
        loss=0.1,
    ),
    "a call without a result counts nothing": _mutant(
        spending.COVERED,
        ".budget.charged",
        "charged",
        ("held if said or", "Money() if said or"),
    ),
    "every hold of a call keeps what it cost": _mutant(
        spending.GIVEN_BACK,
        ".budget.refunds",
        "_changes",
        ('paid_from not in ("", entry.hold)', "not paid_from"),
    ),
    "what is spent is left to the refunds": _mutant(
        spending.GIVEN_BACK,
        ".run.purse",
        "Purse.settle",
        ("if self._allowance and grant.hold:", "if not self._allowance and grant.hold:"),
    ),
}


@contextlib.contextmanager
def _edited(edit: Edit) -> Iterator[None]:
    function = _function(edit)
    original = function.__code__
    function.__code__ = _code(edit, function)
    try:
        yield
    finally:
        function.__code__ = original


def _function(edit: Edit) -> FunctionType:
    found: Any = importlib.import_module(edit.module)
    for name in edit.name.split("."):
        found = getattr(found, name)
    assert isinstance(found, FunctionType)
    return found


def _code(edit: Edit, function: FunctionType) -> CodeType:
    """The function's code with the changes, each of which must fit exactly once."""
    source = textwrap.dedent(inspect.getsource(function))
    for before, after in edit.changes:
        assert source.count(before) == 1, f"{edit.module}.{edit.name} does not have {before!r} once any more:\n{source}"
        source = source.replace(before, after)
    flags = annotations.compiler_flag
    module = compile(source, inspect.getfile(function), "exec", flags, dont_inherit=True)
    (code,) = (constant for constant in module.co_consts if isinstance(constant, CodeType))
    return code
