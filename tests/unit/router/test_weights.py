"""A file of tensors is believed in nothing that its size does not bear out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from trunkline_router.classifiers import weights
from trunkline_router.classifiers.encoder import SentenceEncoder
from trunkline_router.classifiers.weights import Unreadable, Weights, find, read_shape


def written(path: Path, header: object, numbers: bytes = b"") -> Path:
    text = orjson.dumps(header)
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)
    return path


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_tensors_are_read_by_name(tmp_path: Path) -> None:
    numbers = np.arange(8, dtype="<f4")
    header = {
        "__metadata__": {"format": "pt"},
        "a": entry([2, 3], 0, 24),
        "b": entry([2], 24, 32),
        "c": entry([1], 0, 8, "I64"),
    }
    read = Weights(written(tmp_path / "model", header, numbers.tobytes()))
    read.release()
    assert list(read.tensors) == ["a", "b"]
    np.testing.assert_array_equal(read.tensors["a"], numbers[:6].reshape(2, 3))
    np.testing.assert_array_equal(read.tensors["b"], numbers[6:])


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry([2, 3], 0, 24)},
        {"a": entry([4], -16, 0)},
        {"a": entry([4], 16, 0)},
        {"a": entry([3], 0, 16)},
        {"a": entry([-2, -2], 0, 16)},
        {"a": {"dtype": "F32"}},
        {"a": 1},
        [1],
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, header: object) -> None:
    with pytest.raises(Unreadable, match="model"):
        Weights(written(tmp_path / "model", header, bytes(16)))


@pytest.mark.parametrize(
    "content", [b"", b"short", (2**63).to_bytes(8, "little") + b"{}", bytes(64), b"\x02" + bytes(7) + b"{]"]
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(Unreadable, match="model"):
        Weights(tmp_path / "model")


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "model.safetensors", {"a": entry([1], 0, 4)}, bytes(4))
    (tmp_path / "config.json").write_text(
        '{"num_hidden_layers": 6, "num_attention_heads": 12, "layer_norm_eps": 1e-12}'
    )
    (tmp_path / "vocab.txt").write_text("[CLS]\n[SEP]\n[UNK]\n")
    with pytest.raises(Unreadable, match="no tensor embeddings"):
        SentenceEncoder.load(tmp_path)


def test_a_shape_that_says_too_little_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 6}')
    with pytest.raises(Unreadable, match="num_attention_heads"):
        read_shape(tmp_path / "config.json")


def test_the_weights_are_found_where_pip_puts_them_and_nothing_of_them_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / weights.PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('was imported')")
    monkeypatch.setattr(weights, "SHARE", tmp_path / "none")
    monkeypatch.syspath_prepend(tmp_path)
    assert find() == package / "model"


def test_without_the_package_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "SHARE", tmp_path)
    assert find() is None
