"""Figures, times and foreign text as people see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from trunkline.cli.console import clean
from trunkline.cli.figures import dollars, duration, short, size, span
from trunkline.cli.moments import moment
from trunkline.contracts.errors import InvalidArguments
from trunkline.contracts.ids import new_run_id


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (None, "–"),
        (0.04, "0.0 ms"),
        (9.4, "9.4 ms"),
        (12.6, "13 ms"),
        (1500, "1.5 s"),
        (59_949, "59.9 s"),
        (65_000, "1 m 05 s"),
        (3_725_000, "1 h 02 m"),
        (90_000_000, "1 d 01 h"),
    ],
)
def test_durations_have_two_figures_that_matter(milliseconds: float | None, shown: str) -> None:
    assert duration(milliseconds) == shown


def test_spans_do_not_round_into_nonsense() -> None:
    assert [span(seconds) for seconds in (59.4, 59.6, 3599, 3600, 86_399, 86_400)] == [
        "59 s",
        "1 m 00 s",
        "59 m 59 s",
        "1 h 00 m",
        "23 h 59 m",
        "1 d 00 h",
    ]


def test_money_is_never_zero_when_it_is_unknown() -> None:
    assert dollars("0") == "$0"
    assert dollars("0.0000123") == "$0.000012"
    assert dollars("0.000000000001") == "< $0.000001"
    assert dollars("NaN") == "?"
    assert dollars("0.0421") == "$0.0421"
    assert dollars("1234.5") == "$1,234.50"
    assert dollars("0", known=False) == "?"
    assert dollars("0.5", known=False) == "> $0.5000"
    assert dollars(None) == "?"


def test_sizes() -> None:
    assert [size(octets) for octets in (0, 1023, 1024, 5 * 1024**3)] == ["0 B", "1,023 B", "1.0 KiB", "5.0 GiB"]


def test_a_short_id_is_a_beginning_that_tells_runs_apart() -> None:
    """Not the eight characters that are usual: of a UUIDv7 they are the same for a minute."""
    run = new_run_id()
    assert run.startswith(short(run))
    later = "01a20739-b668-7009-a3c1-2f0d5e6b7c8d", "01a20739-b669-7009-a3c1-2f0d5e6b7c8d"
    beside = "01a20739-b668-7174-a3c1-2f0d5e6b7c8d"
    assert len({short(each) for each in (*later, beside)}) == 3
    assert short("my-own-id") == "my-own-id"


def test_text_from_the_bus_cannot_steer_the_terminal() -> None:
    """An agent's answer may hold whatever a model was talked into."""
    hostile = "safe\x1b[2J\x1b]0;title\x07 \x9b31m\u202egnorw\r\nnext\tline\x00"
    assert not set(clean(hostile, lines=True)) & set("\x1b\x07\x9b\u202e\r\x00\t")
    assert clean(hostile, lines=True).count("\n") == 1
    assert "\n" not in clean(hostile)


def test_moments_are_ago_or_absolute() -> None:
    now = datetime.now(UTC)
    ago = moment("90s", "--since")
    assert ago is not None
    assert abs((now - ago) - timedelta(seconds=90)) < timedelta(seconds=5)
    assert moment("2026-01-31T09:30:00+01:00", "--since") == datetime(2026, 1, 31, 8, 30, tzinfo=UTC)
    assert moment("", "--since") is None


@pytest.mark.parametrize("written", ["yesterday", "10", "10 weeks", "99999999999d", "2026-13-01"])
def test_what_is_not_a_time_is_refused(written: str) -> None:
    with pytest.raises(InvalidArguments, match="--since"):
        moment(written, "--since")
