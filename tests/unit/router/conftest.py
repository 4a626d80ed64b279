"""The real encoder, read once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline_router.classifiers.encoder import SentenceEncoder
from trunkline_router.classifiers.weights import find


@pytest.fixture(scope="session")
def weights() -> Path:
    folder = find()
    assert folder, "The encoder's weights are not installed: run `make`."
    return folder


@pytest.fixture(scope="session")
def encoder(weights: Path) -> SentenceEncoder:
    return SentenceEncoder.load(weights)
