"""`trunkline agents`: which agents run now."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from rich.text import Text

    from trunkline.bus.roster import Present
    from trunkline.contracts.registry import AgentCard


def agents(url: Url = "", as_json: Json = False) -> None:
    """The agents that run now.

    A line each, however many workers it has. A late worker misses its heartbeat: it restarts, or has died.
    """
    from trunkline.cli.console import out, print_json, text
    from trunkline.cli.session import run

    rows = [_row(name, cards) for name, cards in sorted(run(_by_agent(url)).items())]
    if as_json:
        print_json(rows)
    elif rows:
        _show(rows)
    else:
        out().print(text("No agent is running. Start one with ", ("trunkline run FILE.py", "name"), "."))


async def _by_agent(url: str) -> dict[str, list[Present[AgentCard]]]:
    from trunkline.bus.registry import AGENTS
    from trunkline.bus.roster import cards_now
    from trunkline.cli.session import on_trunkline
    from trunkline.contracts.registry import AgentCard

    found: dict[str, list[Present[AgentCard]]] = defaultdict(list)
    async with on_trunkline(url) as bus:
        for each in await cards_now(bus, AGENTS, AgentCard):
            found[each.card.agent].append(each)
    return found


def _row(name: str, cards: list[Present[AgentCard]]) -> dict[str, Any]:
    first = cards[0].card
    return {
        "agent": name,
        "description": first.description,
        "workers": len(cards),
        "late": sum(each.late for each in cards),
        "tools": list(first.tools),
        "model": first.model,
        "versions": sorted({each.card.version for each in cards if each.card.version}),
        "examples": len(first.examples),
        "generalist": first.generalist,
        "hidden": first.hidden,
    }


def _show(rows: list[dict[str, Any]]) -> None:
    from trunkline.cli.console import clean, out, print_table, table, text

    wide = out().width >= 120
    columns = ["agent", "workers", "model", "examples", *(["version"] if wide else []), "tools", "description"]
    shown = table(*columns, flexible="description", right=["workers", "examples"])
    for row in rows:
        workers = str(row["workers"]) + (f" ({row['late']} late)" if row["late"] else "")
        cells: list[str | Text] = [
            text((clean(row["agent"]), "name"), (_mark(row), "faint")),
            text((workers, "warn" if row["late"] else "")),
            clean(row["model"]),
            str(row["examples"]),
            *([clean(", ".join(row["versions"])) or "–"] if wide else []),
            _tools(row["tools"], most=2 if out().width >= 100 else 1),
            clean(row["description"]),
        ]
        shown.add_row(*cells)
    print_table(shown)
    if any(row["generalist"] for row in rows):
        out().print(text(("* takes what fits nobody else", "faint")))


def _mark(row: dict[str, Any]) -> str:
    return " (hidden)" if row["hidden"] else " *" if row["generalist"] else ""


def _tools(names: list[str], *, most: int) -> str:
    from trunkline.cli.console import clean

    more = f" +{len(names) - most}" if len(names) > most else ""
    return clean(", ".join(names[:most])) + more or "–"
