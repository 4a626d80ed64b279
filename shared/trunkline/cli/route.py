"""`trunkline route`: who would get a question, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from rich.text import Text

    from trunkline.contracts.errors import TrunklineError

BAR = 24


def route(
    question: Annotated[str, typer.Argument(help="What would be asked.", show_default=False)],
    agent: Annotated[str, typer.Option("--agent", "-a", help="The agent that would be asked for.")] = "",
    conversation: Annotated[
        str, typer.Option("--conversation", "-c", help="The conversation it would go on with.")
    ] = "",
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Which agent would get this question, and why.

    Nothing is asked, nothing is written and nothing is paid.
    """
    from trunkline.cli.console import print_json, print_lines
    from trunkline.cli.session import run

    found = run(_explained(url, question, agent, conversation))
    if refusal := found.get("refusal"):
        raise _refused(refusal, named=bool(agent))
    if as_json:
        print_json(as_document(found))
    else:
        print_lines(lines(found))


async def _explained(url: str, question: str, agent: str, conversation: str) -> dict[str, Any]:
    from trunkline.cli.session import on_trunkline
    from trunkline.client.query import query

    async with on_trunkline(url) as bus:
        found: dict[str, Any] = await query(
            bus, "router", "route", text=question, agent=agent or None, conversation=conversation or None
        )
        return found


def _refused(refusal: dict[str, Any], *, named: bool) -> TrunklineError:
    from trunkline.cli.question import recorded
    from trunkline.contracts.messages import Failure

    return recorded(Failure(**{"message": "", **refusal}), named=named)


def as_document(found: dict[str, Any]) -> dict[str, Any]:
    """`unasked`: the hosted model that would have been asked, since the router is not sure."""
    return {
        "agent": found["agent"],
        "route": {"confidence": 1.0, "source": "direct"} | found.get("route", {}),
        "why": why(found.get("route", {})),
        "tier": found.get("tier", ""),
        "parts": found.get("parts", []),
        "partner": found.get("partner", ""),
        "unasked": found.get("unasked", ""),
    }


def why(route: dict[str, Any]) -> str:
    """In words."""
    said = {
        "only_agent": "it is the only agent",
        "asked_for": "it was asked for",
        "example": "the question is one of its examples",
        "conversation": "the conversation is with it, and nobody is clearly better",
        "greeting": "small talk begins no conversation with a specialist",
        "several": "several questions, for different agents",
        "fallback": "nobody fits well, and it takes what fits nobody",
    }
    source = str(route.get("source", "direct"))
    return said.get(source, f"{source}, {float(route.get('confidence', 1.0)):.0%} sure")


def lines(found: dict[str, Any]) -> list[Text]:
    from trunkline.cli.console import clean, text

    agent, route = found["agent"], found.get("route", {})
    said = [text((clean(agent), "head"), (f"  {clean(why(route))}", "faint"))]
    parts = found.get("parts", [])
    width = max((len(clean(part["agent"])) for part in parts), default=0)
    said += [
        text(f"  {number}. ", (f"{clean(part['agent']):<{width}}", "name"), f"  {clean(part['text'])}")
        for number, part in enumerate(parts, start=1)
    ]
    said += _scores(agent, route.get("scores", {}))
    if tier := found.get("tier"):
        said.append(text(("  models of the tier ", "faint"), clean(tier), (_difficulty(route), "faint")))
    if partner := found.get("partner"):
        said.append(text(("  the conversation is with ", "faint"), clean(partner)))
    if model := found.get("unasked"):
        said.append(text(("  not sure: a request would be shown to ", "faint"), clean(model), (" first", "faint")))
    return said


def _scores(agent: str, scores: dict[str, float]) -> list[Text]:
    from trunkline.cli.console import clean, text

    ordered = sorted(scores.items(), key=lambda item: -item[1])
    width = max((len(clean(name)) for name, _ in ordered), default=0)
    said = []
    for name, score in ordered:
        bar = "━" * round(BAR * max(0.0, min(1.0, score)))
        style = "name" if name == agent else "faint"
        said.append(text((f"  {clean(name):<{width}}  {score:.2f}  ", style if name == agent else ""), (bar, style)))
    return said


def _difficulty(route: dict[str, Any]) -> str:
    difficulty = route.get("difficulty")
    return "" if difficulty is None else f", for a difficulty of {difficulty:.2f}"
