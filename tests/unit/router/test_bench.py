"""What the benchmark reads, draws and counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.router_data import Question, Unusable, check_categories, few_shot, in_words, kept_back, read_questions
from bench.router_figures import agreement, scope
from trunkline_router.classifiers.classify import Verdict

TRAIN = [
    Question(f"{category} {number}", category) for category in ("card_lost", "top-up", "fees") for number in range(9)
]


def verdict(label: str, sure: float, other: str = "other") -> Verdict:
    return Verdict(label, sure if label else 0.0, "test", {label or "best": sure, other: (1 - sure) / 2})


def test_questions_are_read_whatever_else_the_file_has(tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    file.write_text('text,id,category\n"What, a fee?",1,fees\nGone,2,card_lost\n', encoding="utf-8-sig")
    assert read_questions(file) == [Question("What, a fee?", "fees"), Question("Gone", "card_lost")]


def test_what_is_out_of_scope_needs_no_category(tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    file.write_text("text\nWho are you?\n")
    assert [each.text for each in read_questions(file, labelled=False)] == ["Who are you?"]
    with pytest.raises(Unusable, match="no column category"):
        read_questions(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column text and no column category"),
        (b"text,category\n", "no questions"),
        (b"text,category\nhello,fees\nhello\n", "Line 3"),
        (b"text,category\n,fees\n", "Line 2"),
        (b"text,category\n\xff\xfe,fees\n", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_to_do(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(Unusable, match=rf"bad\.csv.*{said}|{said}.*bad\.csv"):
        read_questions(tmp_path / "bad.csv")


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (["a", "a"], ["a"], "train.csv has questions of one category only"),
        (["a", "a", "b"], ["a"], "train.csv has one question of 'b' only"),
        (["a", "a", "b", "b"], ["a", "c"], "test.csv asks for 'c', of which train.csv has no question"),
    ],
)
def test_categories_that_cannot_be_told_apart_are_named(train: list[str], test: list[str], said: str) -> None:
    asked = [[Question(f"question {number}", label) for number, label in enumerate(each)] for each in (train, test)]
    with pytest.raises(Unusable, match=said):
        check_categories(Path("train.csv"), asked[0], Path("test.csv"), asked[1])


def test_the_draw_follows_the_seed() -> None:
    one, again, other = (few_shot(TRAIN, 4, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert [(route.label, route.description, len(route.examples)) for route in one] == [
        ("card_lost", "card lost", 4),
        ("fees", "fees", 4),
        ("top-up", "top up", 4),
    ]
    assert all(example.startswith(route.label) for route in one for example in route.examples)


def test_all_examples_may_be_taken() -> None:
    assert [len(route.examples) for route in few_shot(TRAIN, None, 0)] == [9, 9, 9]


def test_a_name_is_read_as_words() -> None:
    assert in_words("card_about__to-expire") == "card about to expire"


@pytest.mark.parametrize(("share", "count"), [(0.25, 1), (0.5, 2), (0.0, 1), (1.0, 3)])
def test_some_categories_are_kept_back_and_some_are_not(share: float, count: int) -> None:
    assert len(kept_back({"a", "b", "c", "d"}, share, 0)) == count


def test_accuracy_counts_the_best_guess_also_of_who_would_rather_not() -> None:
    asked = [Question("", "a"), Question("", "best"), Question("", "c"), Question("", "a")]
    accuracy, _ = agreement([verdict("a", 0.9), verdict("", 0.5), verdict("a", 0.9), verdict("a", 0.9)], asked)
    assert accuracy == 0.75


def test_who_is_right_as_often_as_said_is_calibrated() -> None:
    asked = [Question("", "a")] * 8 + [Question("", "b")] * 2
    assert agreement([verdict("a", 0.8)] * 10, asked)[1] == pytest.approx(0, abs=1e-9)
    assert agreement([verdict("a", 0.95)] * 10, asked)[1] == pytest.approx(0.15)


def test_out_of_scope_is_found_below_what_nearly_all_in_scope_reach() -> None:
    inside = [verdict("a", 0.5 + number / 200) for number in range(100)]
    outside = [verdict("", 0.4), verdict("a", 0.51), verdict("a", 0.9), verdict("", 0.99)]
    found, passed, refused = scope([*inside[1:], verdict("", 0.5)], outside)
    assert (found, passed, refused) == (0.5, 0.99, 0.5)
