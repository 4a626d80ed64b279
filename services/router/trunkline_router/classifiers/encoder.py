"""Sentence embeddings: a BERT encoder in float32 numpy, the mean over its pieces, at length one.

The architecture is that of Devlin et al. 2018; the weights are MiniLM's (Wang et al. 2020) as trained on sentence pairs
(Reimers & Gurevych 2019). Shapes below: `b` texts of `n` pieces each, `d` = 384 features.
"""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from trunkline_router.classifiers.weights import Shape, Tensor, Unreadable, Weights, read_shape, read_vocabulary
from trunkline_router.classifiers.wordpiece import WordPiece

MOST_PIECES = 256
"""The model's authors cut there too."""
MOST_ROWS = 96
"""Pieces in one batch: more would leave the processor's cache."""
PANEL = (384, 64)
"""Rows and columns of the products that the weights are cut into: BLAS takes its fast path for small products up to
a million multiplications, with this panel that is up to 40 pieces at a time."""


@dataclass(frozen=True, slots=True)
class Linear:
    """x · W + b, the weights laid out as (rows / 384, columns / 64, 384, 64), each panel contiguous."""

    panels: Tensor
    bias: Tensor

    @staticmethod
    def of(weight: Tensor, bias: Tensor) -> Linear:
        """`weight` has the shape (outputs, inputs), as stored."""
        outputs, inputs = weight.shape
        rows, columns = PANEL
        if inputs % rows or outputs % columns:
            raise Unreadable(f"A layer of {inputs} × {outputs} weights is not made of panels of {rows} × {columns}.")
        panels = weight.T.reshape(inputs // rows, rows, outputs // columns, columns).transpose(0, 2, 1, 3)
        return Linear(np.ascontiguousarray(panels), np.ascontiguousarray(bias))

    def __call__(self, x: Tensor) -> Tensor:
        """(m, inputs) → (m, outputs)"""
        splits, _, rows, _ = self.panels.shape
        parts = np.matmul(x.reshape(len(x), splits, 1, rows).transpose(1, 2, 0, 3), self.panels)
        whole = parts[0] if splits == 1 else parts.sum(axis=0)
        y: Tensor = whole.transpose(1, 0, 2).reshape(len(x), -1)
        y += self.bias
        return y


@dataclass(frozen=True, slots=True)
class Norm:
    """Layer normalisation (Ba et al. 2016)."""

    weight: Tensor
    bias: Tensor
    epsilon: float

    def __call__(self, x: Tensor) -> Tensor:
        """(m, d) → (m, d)"""
        x = x - x.mean(axis=1, keepdims=True)
        variance = np.einsum("md,md->m", x, x) / x.shape[1]
        x *= (1 / np.sqrt(variance + self.epsilon))[:, None]
        x *= self.weight
        x += self.bias
        return x


@dataclass(frozen=True, slots=True)
class Layer:
    qkv: Linear
    joined: Linear
    after_attention: Norm
    up: Linear
    down: Linear
    after: Norm
    heads: int

    def __call__(self, x: Tensor, texts: int) -> Tensor:
        """(b·n, d) → (b·n, d)"""
        x = self.after_attention(x + self.joined(self._attend(x, texts)))
        return self.after(x + self.down(gelu(self.up(x))))

    def _attend(self, x: Tensor, texts: int) -> Tensor:
        """Every piece looks at all pieces of its text; there is no padding, so there is no mask."""
        size, features = x.shape
        split = self.qkv(x).reshape(texts, size // texts, 3, self.heads, features // self.heads)
        query, key, value = split.transpose(2, 0, 3, 1, 4)
        weights = softmax(query @ key.swapaxes(-1, -2))
        mixed: Tensor = (weights @ value).transpose(0, 2, 1, 3).reshape(size, features)
        return mixed


class SentenceEncoder:
    """Texts to points: what means alike lies close. Threads may share it."""

    def __init__(self, tensors: Mapping[str, Tensor], shape: Shape, vocabulary: Sequence[str]) -> None:
        try:
            self._words = tensors["embeddings.word_embeddings.weight"]
            kinds, places = (tensors[f"embeddings.{name}_embeddings.weight"] for name in ("token_type", "position"))
            self._places = places[:MOST_PIECES] + kinds[0]
            self._norm = _norm(tensors, "embeddings.LayerNorm", shape)
            self._layers = [_layer(tensors, f"encoder.layer.{i}", shape) for i in range(shape.num_hidden_layers)]
        except KeyError as error:
            raise Unreadable(f"The model has no tensor {error.args[0]}: it is not a BERT encoder.") from error
        self._tokenizer = WordPiece(vocabulary)
        self.features = self._words.shape[1]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises OSError and Unreadable: a ValueError that says what is wrong with which file."""
        weights = Weights(folder / "model.safetensors")
        encoder = cls(weights.tensors, read_shape(folder / "config.json"), read_vocabulary(folder / "vocab.txt"))
        weights.release()
        return encoder

    def embed(self, texts: Sequence[str]) -> Tensor:
        """(len(texts), d), each row of length one. Only the first 256 pieces of a text count."""
        found = np.empty((len(texts), self.features), dtype=np.float32)
        by_length: dict[int, list[tuple[int, list[int]]]] = defaultdict(list)
        for place, text in enumerate(texts):
            numbers = self._tokenizer.encode(text, MOST_PIECES)
            by_length[len(numbers)].append((place, numbers))
        for length, group in by_length.items():
            batch = max(1, MOST_ROWS // length)
            for start in range(0, len(group), batch):
                some = group[start : start + batch]
                found[[place for place, _ in some]] = self._forward(np.array([numbers for _, numbers in some]))
        return found

    def reads(self, text: str) -> bool:
        """Whether nothing of the text is lost on it. It knows English: of other letters it drops the accents, or sees
        hardly more than which ones there are; all words that it does not know are one to it.
        """
        if not all(each.isascii() or unicodedata.category(each)[0] in "PZ" for each in text):
            return False
        numbers = self._tokenizer.encode(text, MOST_PIECES + 1)
        return len(numbers) <= MOST_PIECES and self._tokenizer.unknown not in numbers

    def _forward(self, pieces: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> Tensor:
        """(b, n) piece numbers → (b, d)"""
        texts, length = pieces.shape
        x = self._words[pieces] + self._places[:length]
        x = self._norm(x.reshape(texts * length, -1))
        for layer in self._layers:
            x = layer(x, texts)
        means: Tensor = x.reshape(texts, length, -1).mean(axis=1)
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        return means


def softmax(x: Tensor) -> Tensor:
    """Over the last axis, in place."""
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x


def gelu(x: Tensor) -> Tensor:
    """x · Φ(x), Φ by formula 7.1.26 of Abramowitz & Stegun: right to 2e-7."""
    z = np.abs(x)
    z *= np.float32(math.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * z)
    tail = t * np.float32(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += np.float32(coefficient)
        tail *= t
    z *= -z
    tail *= np.exp(z, out=z)
    tail *= np.abs(x) * np.float32(0.5)
    positive: Tensor = np.maximum(x, 0)
    positive -= tail
    return positive


def _norm(tensors: Mapping[str, Tensor], name: str, shape: Shape) -> Norm:
    return Norm(tensors[f"{name}.weight"].copy(), tensors[f"{name}.bias"].copy(), shape.layer_norm_eps)


def _linear(tensors: Mapping[str, Tensor], *names: str, scale: Sequence[float] = (1.0,)) -> Linear:
    """One layer for several that have the same input."""
    return Linear.of(
        np.concatenate([tensors[f"{name}.weight"] * np.float32(by) for name, by in zip(names, scale, strict=True)]),
        np.concatenate([tensors[f"{name}.bias"] * np.float32(by) for name, by in zip(names, scale, strict=True)]),
    )


def _layer(tensors: Mapping[str, Tensor], name: str, shape: Shape) -> Layer:
    features = tensors[f"{name}.attention.self.query.weight"].shape[0]
    score = 1 / math.sqrt(features / shape.num_attention_heads)
    attention = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
    return Layer(
        qkv=_linear(tensors, *attention, scale=(score, 1.0, 1.0)),
        joined=_linear(tensors, f"{name}.attention.output.dense"),
        after_attention=_norm(tensors, f"{name}.attention.output.LayerNorm", shape),
        up=_linear(tensors, f"{name}.intermediate.dense"),
        down=_linear(tensors, f"{name}.output.dense"),
        after=_norm(tensors, f"{name}.output.LayerNorm", shape),
        heads=shape.num_attention_heads,
    )
