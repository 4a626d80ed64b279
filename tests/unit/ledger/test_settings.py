"""How the ledger is set."""

from pathlib import Path

import pytest

from trunkline_ledger.settings import Settings


def test_the_database_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    assert Settings(data=tmp_path).url == f"sqlite+aiosqlite:///{tmp_path}/ledger.db"


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_LEDGER_DATABASE", "postgresql+asyncpg://db/ledger")
    assert Settings().url == "postgresql+asyncpg://db/ledger"
