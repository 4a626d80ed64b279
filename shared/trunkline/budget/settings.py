"""`[budgets]` of the settings file: what may be spent, where nobody has set another limit since."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ValidationError
from pydantic_settings import SettingsConfigDict

from trunkline.budget.limits import Kind
from trunkline.contracts.errors import InvalidSettings
from trunkline.prices import Money
from trunkline.settings_file import read_settings, refuse_unknown, table_of
from trunkline.table_settings import TableSettings

LARGEST = Money.parse("1000000")
NONE = "none"
_EXAMPLE = f'Write US dollars in plain digits, like "2.50", up to {LARGEST}; "{NONE}" is no limit.'


def amount_of(text: str) -> Money | None:
    """Of plain digits; None for `none`. Raises ValueError, which says what is wrong with it."""
    if text == NONE:
        return None
    try:
        amount = Money.parse(text)
    except ValueError:
        wrong = "is negative" if text.startswith("-") else "is no amount of US dollars"
        raise ValueError(f"{text[:40]!r} {wrong}. {_EXAMPLE}") from None
    if amount > LARGEST:
        raise ValueError(f"{text[:40]!r} is more than anybody spends. {_EXAMPLE}")
    return amount


def _read(value: object) -> object:
    """As the file has it, where a number is taken by its digits; what is an amount already stays one."""
    if value is None or isinstance(value, Money):
        return value
    if isinstance(value, str | int) and not isinstance(value, bool):
        return amount_of(str(value))
    raise ValueError(f"{str(value)[:40]!r} is no amount of US dollars. {_EXAMPLE}")


Amount = Annotated[Money | None, BeforeValidator(_read)]


class BudgetSettings(TableSettings):
    """`[budgets]`, then variables that begin with TRUNKLINE_BUDGETS_, which win. None is no limit."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_BUDGETS_", arbitrary_types_allowed=True)

    run: Amount = Money.parse("1")
    conversation: Amount = Money.parse("5")
    user_day: Amount = Money.parse("10")
    agent_day: Amount = None
    tenant_day: Amount = Money.parse("100")
    tenant_month: Amount = Money.parse("1000")
    unknown_price: Literal["refuse", "allow"] = "refuse"

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Reads `path`, or `trunkline.toml` here if there is one, and the environment. Raises InvalidSettings."""
        where, document = read_settings(path, parse_float=str)
        table = table_of(document, "budgets", where)
        refuse_unknown(table, tuple(cls.model_fields), "[budgets]", where)
        try:
            return cls(**table)
        except ValidationError as error:
            raise InvalidSettings(*_said(error, table, where)) from None

    def amount(self, kind: Kind) -> Money | None:
        found: Money | None = getattr(self, kind.replace("-", "_"))
        return found


def _said(error: ValidationError, table: Mapping[str, Any], where: Path) -> tuple[str, str]:
    """What is wrong with the first line that is, and what to write."""
    first = error.errors(include_url=False)[0]
    key = str(first["loc"][0])
    in_file = key in table and first["input"] == table[key]
    line = f"{where}: [budgets] {key}" if in_file else f"TRUNKLINE_BUDGETS_{key.upper()}"
    complaint = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{line}: {complaint}.", "" if _EXAMPLE.rstrip(".") in complaint else "Correct the value."
