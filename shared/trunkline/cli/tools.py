"""`trunkline tools`: which tools are offered now."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from rich.text import Text

    from trunkline.bus.roster import Present
    from trunkline.contracts.registry import ToolCard


def tools(url: Url = "", as_json: Json = False) -> None:
    """The tools that are offered now.

    A line each, however many executors it has.
    """
    from trunkline.cli.console import out, print_json, text
    from trunkline.cli.session import run

    rows = [_row(name, cards) for name, cards in sorted(run(_by_tool(url)).items())]
    if as_json:
        print_json(rows)
    elif rows:
        _show(rows)
    else:
        out().print(
            text("No tool is offered. Agents and tools of a file start with ", ("trunkline run FILE.py", "name"))
        )


async def _by_tool(url: str) -> dict[str, list[Present[ToolCard]]]:
    from trunkline.bus.registry import TOOLS
    from trunkline.bus.roster import cards_now
    from trunkline.cli.session import on_trunkline
    from trunkline.contracts.registry import ToolCard

    found: dict[str, list[Present[ToolCard]]] = defaultdict(list)
    async with on_trunkline(url) as bus:
        for each in await cards_now(bus, TOOLS, ToolCard):
            found[each.card.tool].append(each)
    return found


def _row(name: str, cards: list[Present[ToolCard]]) -> dict[str, Any]:
    first = cards[0].card
    return {
        "tool": name,
        "description": first.description,
        "parameters": first.parameters,
        "effect": first.effect,
        "idempotent": first.idempotent,
        "approve": first.approve,
        "timeout_seconds": first.timeout_seconds,
        "retries": first.retries,
        "reconciles": first.reconcile_seconds > 0,
        "executors": len(cards),
        "late": sum(each.late for each in cards),
        "isolation": sorted({each.card.isolation for each in cards if each.card.isolation}),
        "source": first.source,
    }


def _show(rows: list[dict[str, Any]]) -> None:
    from trunkline.cli.console import clean, out, print_table, table, text
    from trunkline.cli.figures import duration

    wide = out().width >= 120
    columns = ["tool", "effect", "timeout", "executors", "isolation", *(["source"] if wide else []), "description"]
    shown = table(*columns, flexible="description", right=["timeout", "executors"])
    for row in rows:
        executors = str(row["executors"]) + (f" ({row['late']} late)" if row["late"] else "")
        cells: list[str | Text] = [
            text((clean(row["tool"]), "name")),
            _effect(row),
            duration(row["timeout_seconds"] * 1000),
            text((executors, "warn" if row["late"] else "")),
            clean(", ".join(row["isolation"])) or "–",
            *([clean(row["source"]) or "–"] if wide else []),
            clean(row["description"]),
        ]
        shown.add_row(*cells)
    print_table(shown)


def _effect(row: dict[str, Any]) -> Text:
    from trunkline.cli.console import text

    marks = " once" if row["effect"] == "write" and row["idempotent"] else ""
    approve = (", asks first", "warn") if row["approve"] else ""
    return text((row["effect"], "warn" if row["effect"] == "write" else ""), marks, approve)
