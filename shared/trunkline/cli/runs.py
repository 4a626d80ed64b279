"""`trunkline runs`: what was asked lately, and how it went."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.cli.ledger_json import RunSummary

REMARKS = {"refused": "over budget", "cheaper": "cheaper model", "budget_warning": "near a budget"}
"""Of what a limit did to a run."""
STYLES = {"answered": "good", "failed": "bad", "cancelled": "warn", "running": "name"}


class Status(StrEnum):
    running = "running"
    answered = "answered"
    failed = "failed"
    cancelled = "cancelled"


def runs(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest so many.")] = 20,
    agent: Annotated[str, typer.Option("--agent", "-a", help="Only this agent's.")] = "",
    status: Annotated[Status | None, typer.Option(help="Only those that are so.")] = None,
    conversation: Annotated[str, typer.Option("--conversation", "-c", help="Only of this conversation.")] = "",
    user: Annotated[str, typer.Option("--user", "-u", help="Only this user's.")] = "",
    children: Annotated[bool, typer.Option("--children", help="Also the runs that agents asked for.")] = False,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """The newest runs, from the ledger."""
    from trunkline.cli.console import err, print_json, text
    from trunkline.cli.ledger_json import RunSummary, read
    from trunkline.cli.session import run

    parameters = {
        "limit": limit,
        "agent": agent or None,
        "status": status.value if status else None,
        "conversation": conversation or None,
        "user": user or None,
        "children": children or bool(agent),
    }
    found = run(asked_of_ledger(url, "runs", **parameters))
    if as_json:
        print_json(found)
    elif found:
        _show(read(found, list[RunSummary]))
    else:
        err().print(text(("No such runs.", "faint")))


def remark(summary: RunSummary) -> str:
    """What is worth knowing of how a run went, in two or three words."""
    if summary.source == "cache":
        return "given before"
    if summary.budget == "refused" and summary.status == "answered":
        return "once over budget"
    return REMARKS.get(summary.budget, "")


async def asked_of_ledger(url: str, what: str, **parameters: Any) -> Any:  # any JSON value
    """Raises NotFound, CallerMistake, BusUnavailable."""
    from trunkline.cli.session import on_trunkline
    from trunkline.client.query import query

    async with on_trunkline(url) as bus:
        return await query(bus, "ledger", what, **parameters)


def _show(found: list[RunSummary]) -> None:
    from trunkline.cli.console import clean, out, print_table, table, text
    from trunkline.cli.figures import ago, dollars, duration, short

    wide = out().width >= 100
    columns = ["run", "began", "agent", "status", "took", *(["cost"] if wide else []), "question"]
    shown = table(*columns, flexible="question", right=["began", "took", "cost"])
    for each in found:
        cost = dollars(each.total.cost, known=each.total.cost_known)
        question = clean(each.question) or "–"
        shown.add_row(
            text((short(each.run)[:9], "faint"), short(each.run)[9:]),
            text((ago(each.started_at), "faint")),
            text((clean(each.agent) or "–", "name")),
            text(
                (clean(each.status), STYLES.get(each.status, "")),
                (f", {said}" if (said := remark(each)) else "", "faint"),
            ),
            duration(each.stages.total_ms),
            *([cost] if wide else []),
            text(("↳ " if each.parent else "", "faint"), question),
        )
    print_table(shown)
