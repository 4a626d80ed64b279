"""What notes say, in words."""

import pytest

from trunkline.cli.note_words import bad, words
from trunkline.contracts.savings import saving

ANEW = "anew at 2026-12-01 00:00 UTC"
LIMIT = {"kind": "tenant-month", "who": "main", "limit": "1000", "left": "0.25", "needed": "0.5", "spent": "900"}


@pytest.mark.parametrize(
    ("what", "data", "said"),
    [
        ("saving", saving("tier", cost="0.25").data, "$0.2500 saved · smaller model"),
        ("saving", saving("history", tokens=1200).data, "about 1,200 tokens not sent · shorter history"),
        (
            "saving",
            saving("alike_cache", cost="2", of="r-1").data,
            "$2.00 saved · answer to a like question · of run r-1",
        ),
        ("saving", {"lever": "new_one"}, "new one"),
        ("budget_warning", LIMIT, "$900.00 of $1,000.00 spent or held back: budget of tenant main for this month"),
        (
            "refused",
            LIMIT | {"resets": "2026-12-01T00:00:00+00:00"},
            "over budget: budget of tenant main for this month, $0.2500 of $1,000.00 left, $0.5000 needed, " + ANEW,
        ),
        (
            "cheaper",
            {"kind": "run", "left": "0.5", "model": "a:b", "max_output_tokens": 512},
            "a:b asked instead, for 512 tokens at most: budget of this run has $0.5000 left",
        ),
        ("unused", {"model": "a:b"}, "cost unknown · a:b: another attempt's reply was there first"),
        ("classified", {"model": "a:b", "cost": "0", "label": "math"}, "$0 · a:b · for math"),
        ("classified", {"model": "a:b", "cost": "", "error": "Too late."}, "cost unknown · a:b · Too late."),
        ("classify", {"model": "a:b", "reserved": "0.5"}, "a:b is asked whom it is for, at most $0.5000"),
        ("retry", {"model": "a:b", "code": "model_failed", "next": "c:d"}, "a:b failed: model_failed, then c:d"),
        ("a_users_own", {"any": "thing"}, ""),
    ],
)
def test_a_note_in_words(what: str, data: dict[str, object], said: str) -> None:
    assert words(what, data) == said


@pytest.mark.parametrize(
    "what", ["saving", "budget_warning", "refused", "cheaper", "unused", "classify", "classified", "retry"]
)
@pytest.mark.parametrize("value", [None, 7, [], {"a": 1}, "NaN", "x" * 10_000])
def test_data_of_any_shape_are_no_error(what: str, value: object) -> None:
    names = ("lever", "cost", "tokens", "of", "kind", "who", "limit", "left", "resets", "model", "max_output_tokens")
    assert len(words(what, dict.fromkeys(names, value))) < 5000


def test_only_a_refusal_is_bad() -> None:
    assert [what for what in ("saving", "cheaper", "refused", "budget_warning") if bad(what)] == ["refused"]
