"""`[budgets]` of trunkline.toml, and the environment before it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.budget import KINDS, BudgetSettings
from trunkline.contracts.errors import InvalidSettings
from trunkline.prices import Money


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def written(text: str) -> Path:
    path = Path("trunkline.toml")
    path.write_text(f"[budgets]\n{text}")
    return path


def test_budgets_are_on_by_default() -> None:
    settings = BudgetSettings.load()
    assert {kind: str(settings.amount(kind)) for kind in KINDS} == {
        "run": "1",
        "conversation": "5",
        "user-day": "10",
        "agent-day": "None",
        "tenant-day": "100",
        "tenant-month": "1000",
    }
    assert settings.unknown_price == "refuse"


def test_the_file_says_otherwise_in_quotes_or_as_a_number() -> None:
    settings = BudgetSettings.load(
        written('run = "0.000001"\nconversation = 2.50\nuser_day = 7\ntenant_month = "none"\nunknown_price = "allow"')
    )
    assert settings.run == Money(10**6)
    assert settings.conversation == Money(25 * 10**11)
    assert settings.user_day == Money(7 * 10**12)
    assert settings.tenant_month is None
    assert settings.tenant_day == Money(100 * 10**12)
    assert settings.unknown_price == "allow"


@given(st.integers(0, 10**18))
def test_no_digit_is_lost(pico: int) -> None:
    amount = Money(pico)
    for spelt in (f'"{amount}"', str(amount)):
        assert BudgetSettings.load(written(f"run = {spelt}")).run == amount


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_BUDGETS_USER_DAY", "0.25")
    monkeypatch.setenv("TRUNKLINE_BUDGETS_RUN", "none")
    settings = BudgetSettings.load(written('user_day = "3"\nrun = "3"\nconversation = "3"'))
    assert [str(each) for each in (settings.user_day, settings.run, settings.conversation)] == ["0.25", "None", "3"]


@pytest.mark.parametrize(
    ("line", "what", "hint"),
    [
        ('user_day = "-1"', "[budgets] user_day: '-1' is negative", "plain digits"),
        ("user_day = -1.5", "[budgets] user_day: '-1.5' is negative", "plain digits"),
        ('run = "1e3"', "[budgets] run: '1e3' is no amount", "plain digits"),
        ('run = "a lot"', "[budgets] run: 'a lot' is no amount", "plain digits"),
        ('run = ""', "[budgets] run: '' is no amount", "plain digits"),
        ("run = true", "[budgets] run: 'True' is no amount", "plain digits"),
        ("run = nan", "[budgets] run: 'nan' is no amount", "plain digits"),
        ('tenant_day = "1000000.01"', "[budgets] tenant_day: '1000000.01' is more", "up to 1000000"),
        ('tenant_day = "9999999999999"', "[budgets] tenant_day: '9999999999999' is no amount", "plain digits"),
        ('tenantday = "1"', "[budgets] has an unknown key `tenantday`", "Did you mean `tenant_day`?"),
        ('unknown_price = "guess"', "[budgets] unknown_price", "'refuse' or 'allow'"),
    ],
)
def test_what_cannot_be_meant_names_the_line_and_says_what_to_write(line: str, what: str, hint: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        BudgetSettings.load(written(line))
    assert f"trunkline.toml: {what}" in str(caught.value)
    assert hint in str(caught.value)


def test_what_is_wrong_in_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_BUDGETS_TENANT_DAY", "-3")
    with pytest.raises(InvalidSettings, match="TRUNKLINE_BUDGETS_TENANT_DAY: '-3' is negative"):
        BudgetSettings.load(written('tenant_day = "3"'))
