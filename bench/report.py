"""The figures as tables for people."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from bench.measure import Level

console = Console(width=None if sys.stdout.isatty() else 150)
TOP = 25


def show_level(sides: Sequence[Level]) -> None:
    """One concurrency: a row for each side, and their ratio."""
    groups = list(sides[0].cpu_ms)
    table = Table(title=f"One-tool turns, {sides[0].concurrency} at a time", title_justify="left")
    for heading in ("", "runs/s", "p50 ms", "p99 ms", "msgs/run", "bytes/run", "CPU ms/run", *groups):
        table.add_column(heading, justify="right" if heading else "left")
    for side in sides:
        table.add_row(side.side, *_figures(side, groups))
    if len(sides) == 2:
        table.add_row("ratio", *_ratios(sides[0], sides[1], groups))
    console.print(table)


def show_memory(rss: Mapping[str, Mapping[str, float]]) -> None:
    for side, processes in rss.items():
        console.print(f"RSS MiB, {side}: " + ", ".join(f"{name} {mib:.0f}" for name, mib in processes.items()))


def show_messages(counts: Mapping[str, Mapping[str, float]]) -> None:
    """NATS messages a run, by kind."""
    table = Table(title="NATS messages per run, one at a time (as published or delivered)", title_justify="left")
    kinds = sorted({kind for each in counts.values() for kind in each}, key=lambda kind: (kind.islower(), kind))
    for heading in ("", *counts):
        table.add_column(heading, justify="right" if heading else "left")
    for kind in kinds:
        table.add_row(kind, *(f"{each.get(kind, 0):.2f}" for each in counts.values()))
    table.add_row("all", *(f"{sum(each.values()):.2f}" for each in counts.values()))
    console.print(table)


def show_summary(levels: Mapping[str, Sequence[Level]], rss: Mapping[str, Mapping[str, float]]) -> None:
    ratios = " ".join(
        f"{ours.concurrency}:{ours.rate / theirs.rate:.2f}"
        for ours, theirs in zip(levels.get("platform", ()), levels.get("raw", ()), strict=False)
    )
    alone = ", ".join(f"{side} {found[0].p50:.1f} ms" for side, found in levels.items())
    router = f"{rss['platform']['router']:.0f} MiB" if "platform" in rss else "not measured"
    console.print(f"[bold]platform/raw runs/s[/] {ratios or 'not measured'} · p50 alone {alone} · router RSS {router}")


def show_profiles(folder: Path) -> None:
    """The functions in which each process spent its own time."""
    for file in sorted(folder.glob("*.json")):
        counts = orjson.loads(file.read_bytes())
        total = sum(counts["own"].values())
        table = Table(title=f"{file.stem}: {total} samples", title_justify="left")
        for heading in ("own %", "with callees %", "function"):
            table.add_column(heading, justify="left" if heading == "function" else "right")
        for name, own in sorted(counts["own"].items(), key=lambda item: -item[1])[:TOP]:
            table.add_row(f"{own / total:.1%}", f"{counts['with_callees'][name] / total:.1%}", name)
        console.print(table)


def _figures(side: Level, groups: Sequence[str]) -> list[str]:
    total = sum(side.cpu_ms.values())
    return [
        f"{side.rate:,.0f}",
        f"{side.p50:.2f}",
        f"{side.p99:.2f}",
        f"{side.messages:.2f}",
        f"{side.bytes:,.0f}",
        f"{total:.2f}",
        *(f"{side.cpu_ms[group]:.2f}" for group in groups),
    ]


def _ratios(ours: Level, theirs: Level, groups: Sequence[str]) -> list[str]:
    def over(a: float, b: float) -> str:
        return f"{a / b:.2f}" if b else "-"

    return [
        over(ours.rate, theirs.rate),
        over(ours.p50, theirs.p50),
        over(ours.p99, theirs.p99),
        over(ours.messages, theirs.messages),
        over(ours.bytes, theirs.bytes),
        over(sum(ours.cpu_ms.values()), sum(theirs.cpu_ms.values())),
        *(over(ours.cpu_ms[group], theirs.cpu_ms[group]) for group in groups),
    ]
