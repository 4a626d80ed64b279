"""The encoder computes what its authors published, alone or in company."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trunkline_router.classifiers.encoder import MOST_PIECES, Linear, SentenceEncoder, gelu
from trunkline_router.classifiers.weights import Unreadable


def test_likenesses_are_those_that_the_model_is_published_with(encoder: SentenceEncoder) -> None:
    """From the first page of the documentation of sentence-transformers."""
    points = encoder.embed(["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."])
    expected = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose(points @ points.T, expected, atol=1e-4)


def test_a_point_begins_as_published(encoder: SentenceEncoder) -> None:
    point = encoder.embed(["This is an example sentence"])[0]
    np.testing.assert_allclose(point[:3], [6.7657e-02, 6.3496e-02, 4.8713e-02], atol=1e-5)


@pytest.mark.parametrize(
    ("one", "alike", "other"),
    [
        ("I forgot my password", "How can I reset my login?", "I forgot my umbrella"),
        ("Where is my parcel?", "My package has not come", "Where is my hotel?"),
        ("The cat sat on the mat", "A kitten rested on a rug", "The stock market fell"),
    ],
)
def test_what_means_alike_lies_closer(encoder: SentenceEncoder, one: str, alike: str, other: str) -> None:
    points = encoder.embed([one, alike, other])
    assert points[0] @ points[1] > points[0] @ points[2]


def test_a_text_is_embedded_alone_as_in_company(encoder: SentenceEncoder) -> None:
    """Of many lengths, in one call: each keeps its place."""
    texts = [" ".join(["word"] * count) + f" {count}" for count in (3, 1, 60, 2, 3, 1, 200, 60)] * 3
    together = encoder.embed(texts)
    alone = np.stack([encoder.embed([text])[0] for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "\u5982\u4f55\u53d6\u6d88\u8ba2\u5355",  # "cancel" and "change" are the same to it, here
        "\u043a\u0430\u043a \u043e\u0442\u043c\u0435\u043d\u0438\u0442\u044c",  # and nearly so in Russian
        "schon sch\u00f6n",
        "cancel \U0001f600",
        "a " * MOST_PIECES + "open or close?",
        "x" * 101,
    ],
)
def test_a_text_of_which_something_is_lost_on_it_is_known_as_such(encoder: SentenceEncoder, text: str) -> None:
    assert not encoder.reads(text)


def test_english_is_read(encoder: SentenceEncoder) -> None:
    assert encoder.reads("What\u2019s the \u201cfee\u201d for order 1042 \u2013 3.5 % or $4?")


def test_every_point_has_length_one(encoder: SentenceEncoder) -> None:
    points = encoder.embed(["", "a", "!?", "\u4f60\u597d", "x" * 5000, "many words " * 1000])
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-5)


def test_what_comes_after_the_longest_text_does_not_count(encoder: SentenceEncoder) -> None:
    begin = "word " * MOST_PIECES
    np.testing.assert_array_equal(*encoder.embed([begin, begin + "and then something else"]))


def test_nothing_is_embedded_as_nothing(encoder: SentenceEncoder) -> None:
    assert encoder.embed([]).shape == (0, encoder.features)


def test_gelu_is_exact_to_the_sixth_place() -> None:
    x = np.linspace(-8, 8, 2001, dtype=np.float32)
    exact = [each * (1 + math.erf(each / math.sqrt(2))) / 2 for each in x.tolist()]
    np.testing.assert_allclose(gelu(x.copy()), exact, atol=1e-6)


@pytest.mark.parametrize(("inputs", "outputs"), [(384, 64), (768, 384)])
def test_panels_multiply_like_the_whole(inputs: int, outputs: int) -> None:
    draw = np.random.default_rng(0)
    x, weight = draw.standard_normal((5, inputs), np.float32), draw.standard_normal((outputs, inputs), np.float32)
    bias = draw.standard_normal(outputs, np.float32)
    np.testing.assert_allclose(Linear.of(weight, bias)(x), x @ weight.T + bias, rtol=1e-4, atol=1e-3)


def test_a_layer_of_another_size_is_refused() -> None:
    with pytest.raises(Unreadable, match="100 × 64"):
        Linear.of(np.zeros((64, 100), np.float32), np.zeros(64, np.float32))
