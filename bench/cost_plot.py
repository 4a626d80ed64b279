"""The comparison as one SVG file: what both have spent after each question, and what makes the difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from bench.cost_books import LEVERS, Comparison
from bench.cost_report import SAID

WIDTH, HEIGHT = 960, 520
LEFT, RIGHT, TOP, BOTTOM = 70, 620, 92, 440
BAR_LEFT, BAR_WIDTH = 690, 70
POINTS = 400
TICKS = 5
INK, GREY, FAINT = "#1f2933", "#7b8794", "#e4e7eb"
BASELINE, PLATFORM = "#9aa5b1", "#0f766e"
COLOURS = dict(
    zip(
        LEVERS,
        ("#f59e0b", "#fbbf24", "#fde68a", "#6366f1", "#ec4899", "#f9a8d4", "#a78bfa", "#38bdf8", GREY),
        strict=True,
    )
)


def plot(found: Comparison, repeats: float, file: Path) -> None:
    """Raises OSError."""
    parts = [*_frame(found, repeats), *_course(found.course), *_bar(found)]
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="Inter, Helvetica, Arial, sans-serif" font-size="13" fill="{INK}">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n",
        encoding="utf-8",
    )


def _frame(found: Comparison, repeats: float) -> Iterator[str]:
    right = f"right answers {found.baseline.right:.1%} → {found.platform.right:.1%}"
    title = f"{found.baseline.questions:,} questions, {repeats:.0%} of them repeats; {right}; models are stand-ins"
    yield _text(LEFT, 34, f"{found.saved:.0%} less is paid for the same questions", size=20, weight=600)
    yield _text(LEFT, 58, title, colour=GREY)
    top = _top(found)
    for tick in range(TICKS + 1):
        y = _y(top * tick / TICKS, top)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}" stroke="{FAINT}"/>'
        yield _text(LEFT - 8, y + 4, f"${top * tick / TICKS:.2f}", anchor="end", colour=GREY)
    for share in (0.0, 0.5, 1.0):
        questions = f"{round(share * len(found.course)):,}"
        yield _text(LEFT + share * (RIGHT - LEFT), BOTTOM + 22, questions, anchor="middle", colour=GREY)
    yield _text((LEFT + RIGHT) / 2, BOTTOM + 44, "questions asked", anchor="middle", colour=GREY)


def _course(course: Sequence[tuple[float, float]]) -> Iterator[str]:
    top = course[-1][1] or 1.0
    step = max(1, len(course) // POINTS)
    places = [*range(0, len(course), step), len(course) - 1]
    for side, colour, name in ((1, BASELINE, "everything to the large model"), (0, PLATFORM, "Trunkline")):
        points = " ".join(
            f"{LEFT + place / max(1, len(course) - 1) * (RIGHT - LEFT):.1f},{_y(course[place][side], top):.1f}"
            for place in places
        )
        if not side:
            yield f'<polygon points="{LEFT},{BOTTOM} {points} {RIGHT},{BOTTOM}" fill="{colour}" opacity="0.12"/>'
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5" stroke-linejoin="round"/>'
        y = _y(course[-1][side], top)
        yield _text(RIGHT - 6, y - 10, f"{name}: ${course[-1][side]:.2f}", anchor="end", colour=colour, weight=600)


def _bar(found: Comparison) -> Iterator[str]:
    """The baseline's cost as one column: what is paid still, and above it the levers."""
    top = _top(found)
    gains = [(lever, found.levers[lever].pico / 1e12) for lever in LEVERS if found.levers[lever].pico > 0]
    whole = found.saved * top
    scale = whole / sum(dollars for _, dollars in gains) if gains else 0.0
    pieces = [("still paid", PLATFORM, found.course[-1][0])]
    pieces += [(SAID[lever], COLOURS[lever], dollars * scale) for lever, dollars in gains]
    below, label = 0.0, BOTTOM + 18.0
    for name, colour, dollars in pieces:
        high, low = _y(below + dollars, top), _y(below, top)
        size = f'width="{BAR_WIDTH}" height="{max(low - high, 0.5):.1f}"'
        yield f'<rect x="{BAR_LEFT}" y="{high:.1f}" {size} fill="{colour}"/>'
        label = min(label - 17, (high + low) / 2 + 4)
        yield _text(BAR_LEFT + BAR_WIDTH + 10, label, f"{dollars / top:.1%} {name}")
        below += dollars
    yield _text(BAR_LEFT, BOTTOM + 22, "of the baseline's cost", colour=GREY)


def _top(found: Comparison) -> float:
    return found.course[-1][1] or 1.0


def _y(dollars: float, top: float) -> float:
    return BOTTOM - dollars / top * (BOTTOM - TOP)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", colour: str = INK, size: int = 13, weight: int = 400
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )
