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
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Which agent would get this question, and why.

    Nothing is asked, nothing is written.
    """
    from trunkline.cli.console import print_json, print_lines
    from trunkline.cli.session import run

    found = run(_explained(url, question, agent))
    if refusal := found.get("refusal"):
        raise _refused(refusal, named=bool(agent))
    if as_json:
        print_json({"agent": found["agent"], "route": {"confidence": 1.0, "source": "direct"} | found.get("route", {})})
    else:
        print_lines(_lines(found["agent"], found.get("route", {})))


async def _explained(url: str, question: str, agent: str) -> dict[str, Any]:
    from trunkline.cli.session import on_trunkline
    from trunkline.client.query import query

    async with on_trunkline(url) as bus:
        found: dict[str, Any] = await query(bus, "router", "route", text=question, agent=agent or None)
        return found


def _refused(refusal: dict[str, Any], *, named: bool) -> TrunklineError:
    from trunkline.cli.question import recorded
    from trunkline.contracts.messages import Failure

    return recorded(Failure(**{"message": "", **refusal}), named=named)


def _lines(agent: str, found: dict[str, Any]) -> list[Text]:
    from trunkline.cli.console import clean, text

    why = {
        "only_agent": "it is the only agent",
        "asked_for": "it was asked for",
        "fallback": "nobody fits well, and it takes what fits nobody",
    }
    source = str(found.get("source", "direct"))
    sure = f"{source}, {float(found.get('confidence', 1.0)):.0%} sure"
    lines = [text((clean(agent), "head"), (f"  {clean(why.get(source, sure))}", "faint"))]
    scores = sorted(found.get("scores", {}).items(), key=lambda item: -item[1])
    width = max((len(clean(name)) for name, _ in scores), default=0)
    for name, score in scores:
        bar = "━" * round(BAR * max(0.0, min(1.0, score)))
        style = "name" if name == agent else "faint"
        lines.append(text((f"  {clean(name):<{width}}  {score:.2f}  ", style if name == agent else ""), (bar, style)))
    return lines
