"""Ledgers on real files."""

from pathlib import Path

import pytest

from tests.integration.ledger.ledgers import url_of


@pytest.fixture
def url(tmp_path: Path) -> str:
    return url_of(tmp_path / "ledger.db")
