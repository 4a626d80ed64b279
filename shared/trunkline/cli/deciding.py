"""What people are asked about calls, read from the log, and what they decide, written to it."""

from __future__ import annotations

import asyncio
import getpass
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from trunkline.bus import Bus, append, fold
from trunkline.contracts.attempts import attempt_of, call_name, parse_call_name
from trunkline.contracts.codec import Event, input_hash
from trunkline.contracts.errors import CallerMistake, InvalidArguments, NotFound
from trunkline.contracts.ids import tool_name
from trunkline.contracts.messages import Answer, Approval, Cancel, Decision, Result
from trunkline.contracts.subjects import RunKey, Subject, filter_of

if TYPE_CHECKING:
    from rich.text import Text

Reason = Literal["approve", "in_doubt"]
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about one call, and since when. `waits`: whether its run still waits for the answer."""

    subject: Subject
    asked: Approval
    at: datetime
    waits: bool = True

    @property
    def call(self) -> str:
        step, _ = attempt_of("approval", self.subject.step)
        return call_name(self.subject.run, step)

    @property
    def tool(self) -> str:
        return tool_name(self.subject.name)

    def as_data(self) -> dict[str, Any]:
        step, attempt = attempt_of("approval", self.subject.step)
        return {
            "call": self.call,
            "tool": self.tool,
            "arguments": self.asked.arguments,
            "agent": self.asked.agent,
            "since": self.at,
            "run": self.subject.run,
            "conversation": self.subject.conversation,
            "step": step,
            "run_waits": self.waits,
            **({"attempt": attempt} if attempt else {"expires": self.asked.expires}),
        }


async def open_questions(bus: Bus, tenant: str, reason: Reason) -> list[Question]:
    """What nobody has decided, oldest first. Raises BusUnavailable."""
    decided = await _decided(bus, tenant)
    asked = [each for each in await _asked(bus, tenant, reason) if _place(each.subject) not in decided]
    slots = asyncio.Semaphore(AT_ONCE)

    async def looked(question: Question) -> Question | None:
        async with slots:
            return await _as_it_stands(bus, question)

    found = await asyncio.gather(*(looked(each) for each in asked))
    return [each for each in found if each is not None]


async def decide(
    url: str, reason: Reason, call: str, verdict: Any, *, by: str, value: Any = None
) -> tuple[Question, Decision]:
    """What was asked, and the decision that is recorded. Raises NotFound, InvalidArguments, CallerMistake."""
    from trunkline.cli.session import on_trunkline
    from trunkline.cli.settings import CliSettings

    settings = CliSettings.load()
    async with on_trunkline(url) as bus:
        question = await _named(bus, settings.tenant, reason, call)
        digest = input_hash(question.tool, question.asked.arguments)  # of what was shown, whatever else was said
        decision = Decision(
            verdict=verdict, by=by or settings.user or getpass.getuser(), arguments_hash=digest, value=value
        )
        place = RunKey.of(question.subject).step("decision", question.subject.name, question.subject.step)
        written = await append(bus, place, decision)
        if written.event:
            raise _too_late(question, written.event)
        return question, decision


async def _named(bus: Bus, tenant: str, reason: Reason, call: str) -> Question:
    """The one open question about a call of that name. Raises NotFound, InvalidArguments, CallerMistake."""
    found = [each for each in await open_questions(bus, tenant, reason) if _is_meant(call, each)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidArguments(
            f"{call[:80]} may be {' or '.join(each.call for each in found[:5])}.",
            "Write more of it, or copy all of it.",
        )
    decisions = await _decided(bus, tenant)
    for each in await _asked(bus, tenant, reason):
        if _is_meant(call, each) and (event := decisions.get(_place(each.subject))):
            raise _too_late(each, event)
    command = "approvals" if reason == "approve" else "doubts"
    raise NotFound(f"Nothing is to be decided about a call {call[:80]!r}.", f"`trunkline {command}` lists what is.")


def _is_meant(call: str, question: Question) -> bool:
    run, step = parse_call_name(call)
    asked, _ = attempt_of("approval", question.subject.step)
    return question.subject.run.startswith(run) and step in ("", asked)


def _too_late(question: Question, event: Event) -> CallerMistake:
    by = f"{event.fact.verdict} by {event.fact.by}" if isinstance(event.fact, Decision) else "by somebody"
    return CallerMistake(
        f"{question.call} was decided already: {by}.", f"See what came of it: `trunkline show {question.subject.run}`."
    )


async def _asked(bus: Bus, tenant: str, reason: Reason) -> list[Question]:
    return [
        Question(event.subject, event.fact, event.at)
        for event in await fold(bus, filter_of(tenant=tenant, kind="approval"))
        if isinstance(event.fact, Approval) and event.fact.reason == reason
    ]


async def _decided(bus: Bus, tenant: str) -> dict[tuple[str, str, str], Event]:
    return {_place(event.subject): event for event in await fold(bus, filter_of(tenant=tenant, kind="decision"))}


def _place(subject: Subject) -> tuple[str, str, str]:
    return subject.run, subject.name, subject.step


async def _as_it_stands(bus: Bus, question: Question) -> Question | None:
    """None when the call has a result that answers the question."""
    subject = question.subject
    step, _ = attempt_of("approval", subject.step)
    where = {"tenant": subject.tenant, "conversation": subject.conversation, "run": subject.run}
    results = filter_of(**where, kind="result", step=step)
    events = await fold(bus, results, filter_of(**where, kind="answer"), filter_of(**where, kind="cancel"))
    waits = True
    for event in events:
        match event.fact:
            case Result(error=error):
                waits = False
                if question.asked.reason == "approve" or error is None or error.data.get("effect") != "unknown":
                    return None
            case Answer() | Cancel():
                waits = False
    return Question(subject, question.asked, question.at, waits)


async def listed(url: str, reason: Reason) -> list[Question]:
    """As `open_questions`, over a connection of its own."""
    from trunkline.cli.session import on_trunkline
    from trunkline.cli.settings import CliSettings

    async with on_trunkline(url) as bus:
        return await open_questions(bus, CliSettings.load().tenant, reason)


def show(questions: list[Question], *, expiry: bool) -> None:
    """A line each; the call is written so that it can be copied."""
    from trunkline.cli.console import clean, print_table, table, text
    from trunkline.cli.figures import ago, short, span
    from trunkline.client.progress import spoken_call

    fourth = "expires in" if expiry else "run"
    shown = table("call", "since", "agent", fourth, "what", flexible="what", right=["since"])
    for each in questions:
        run, step = parse_call_name(each.call)
        state: Text = text(("waits", "warn")) if each.waits else text(("has ended", "faint"))
        if expiry and each.waits and each.asked.expires:
            state = text(span(max(0.0, (each.asked.expires - datetime.now(each.at.tzinfo)).total_seconds())))
        shown.add_row(
            call_name(short(run), step),
            text((ago(each.at), "faint")),
            text((clean(each.asked.agent) or "–", "name")),
            state,
            clean(spoken_call(each.tool, each.asked.arguments)),
        )
    print_table(shown)


def say(question: Question, decision: Decision, *, as_json: bool, told: str) -> None:
    """What was decided, and what comes of it."""
    from trunkline.cli.console import clean, err, out, print_json, text
    from trunkline.cli.console import say as sentence
    from trunkline.client.progress import spoken_call

    if as_json:
        print_json({"call": question.call, "verdict": decision.verdict, "by": decision.by, "run_waits": question.waits})
        return
    what = clean(spoken_call(question.tool, question.asked.arguments))
    sentence(out(), text(f"{what}: {decision.verdict} by {clean(decision.by)}."))
    after = told if question.waits else "Its run has ended already: this is recorded, and nothing is run."
    sentence(err(), text((f"{after} trunkline show {question.subject.run}", "faint")))
