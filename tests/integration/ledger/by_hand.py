"""What a log cost, added up from its raw bytes: by other rules than the ledger's own code, for comparing the two.

Only what a log of this version says is understood: amounts that are recorded. Whole picodollars throughout.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, Protocol, get_args

Way = Literal["user", "conversation", "agent", "tool", "model", "route", "day"]
WAYS: tuple[Way, ...] = get_args(Way)


class Stored(Protocol):
    """A message as it stands on the log."""

    @property
    def subject(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def at(self) -> datetime: ...
    @property
    def data(self) -> bytes: ...


@dataclass
class Call:
    """One attempt at one model call. `cost` None: not known, or not over."""

    run: str
    agent: str
    model: str
    at: datetime
    held: int | None = None
    over: bool = False
    told: bool = False
    cost: int | None = None
    tools: list[str] = field(default_factory=list)


@dataclass
class Bill:
    """Picodollars, by what they are asked by; `saved` by lever."""

    total: int
    calls: int
    unknown: int
    by: Mapping[str, Mapping[str, int]]
    saved: Mapping[str, int]


def bill(messages: Iterable[Stored], *, since: datetime | None = None, until: datetime | None = None) -> Bill:
    """Of the calls that were prompted then."""
    calls: dict[tuple[str, str, int], Call] = {}
    runs: dict[str, dict[str, str]] = defaultdict(dict)
    saved: dict[str, int] = defaultdict(int)
    spared: list[tuple[str, str, int]] = []
    given: set[str] = set()

    def inside(at: datetime) -> bool:
        return (since is None or at >= since) and (until is None or at < until)

    for message in messages:
        _, _, conversation, run, kind, name, step = message.subject.split(".")
        body = json.loads(message.data)
        runs[run]["conversation"] = conversation
        _run(runs[run], kind, body)
        _call(calls, run, kind, name, step, message.at, body)
        lever, amount = _saving(kind, body)
        if lever and inside(message.at):
            spared.append((run, lever, amount))
        if kind == "answer" and body.get("source") == "cache":
            given.add(run)
    for run, lever, amount in spared:
        if run in given or lever not in ("answer_cache", "alike_cache"):
            saved[lever] += amount
    spent = [call for call in calls.values() if inside(call.at)]
    return Bill(
        total=sum(call.cost or 0 for call in spent),
        calls=len(spent),
        unknown=sum(call.over and call.cost is None for call in spent),
        by={way: _split(spent, runs, way) for way in WAYS},
        saved=saved,
    )


def _run(run: dict[str, str], kind: str, body: Mapping[str, Any]) -> None:
    if kind == "request":
        run["user"] = body.get("user", "")
    if kind == "task":
        run["route"] = body.get("route", {}).get("source", "direct")
        run["parent"] = body.get("parent", {}).get("run", "")
        run.setdefault("user", body.get("user", ""))


def _call(
    calls: dict[tuple[str, str, int], Call], run: str, kind: str, name: str, step: str, at: datetime, body: Any
) -> None:
    if kind == "prompt":
        of, _, attempt = step.rpartition("-")
        calls[run, of, int(attempt)] = Call(run, name, body["model"], at, _pico(body.get("reserved")))
    elif kind == "model":
        mine = calls[run, step, body.get("attempt", 1)]
        if not mine.told:
            mine.tools = [call["tool"] for call in body.get("calls", [])]
        _over(mine, body, (body.get("error") or {}).get("data", {}).get("spent"))
        _forget(calls, run, step)
    elif kind == "answer":
        _forget(calls, run)
    elif kind == "note" and step.startswith(("retry-", "unused-")):
        _, of, attempt = step.rsplit("-", 2)
        _over(calls[run, of, int(attempt)], body["data"], body["data"].get("spent"))
    elif kind == "note" and body["what"] == "classify":
        calls[run, "classified", 1] = Call(run, name, body["data"]["model"], at, _pico(body["data"]["reserved"]))
    elif kind == "note" and body["what"] == "classified":
        _over(calls[run, step, 1], body["data"], None)


def _over(call: Call, said: Mapping[str, Any], spent: object) -> None:
    """As was said first; nothing, where nothing can have been spent; else all that was held back for it."""
    if call.told:
        return
    amount = _pico(said.get("cost"))
    call.over, call.told, call.model = True, True, said.get("model", call.model)
    call.cost = amount if amount is not None else call.held if spent is not False else 0


def _forget(calls: Mapping[tuple[str, str, int], Call], run: str, step: str = "") -> None:
    """Nobody waits for these any more: they count as spent."""
    for (of, at, _), call in calls.items():
        if of == run and step in ("", at) and not call.over:
            call.over, call.cost = True, call.held


def _saving(kind: str, body: Mapping[str, Any]) -> tuple[str, int]:
    if kind == "model" and body.get("source") == "cache":
        return "model_cache", _pico(body.get("saved")) or 0
    if kind == "note" and body["what"] == "saving":
        data = body["data"]
        return data["lever"], (_pico(data.get("cost")) or 0) - (_pico(data.get("extra")) or 0)
    return "", 0


def _split(calls: Iterable[Call], runs: Mapping[str, Mapping[str, str]], way: str) -> Mapping[str, int]:
    found: dict[str, int] = defaultdict(int)
    for call in calls:
        run = runs[call.run]
        if way == "tool":
            first, *others = call.tools or [""]
            part = (call.cost or 0) // (1 + len(others))
            for tool in others:
                found[tool] += part
            found[first] += (call.cost or 0) - part * len(others)
            continue
        keys = {
            "user": _user(runs, call.run),
            "conversation": run["conversation"],
            "agent": call.agent,
            "model": call.model,
            "route": run.get("route", ""),
            "day": call.at.astimezone(UTC).date().isoformat(),
        }
        found[keys[way]] += call.cost or 0
    return found


def _user(runs: Mapping[str, Mapping[str, str]], run: str) -> str:
    while parent := runs[run].get("parent"):
        run = parent
    return runs[run].get("user", "")


def _pico(text: str | None) -> int | None:
    return int(Decimal(text).scaleb(12)) if text else None
