"""The platform's settings file, `trunkline.toml`: read once for each part that has tables in it."""

import tomllib
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trunkline.contracts.errors import InvalidSettings

CONFIG = Path("trunkline.toml")


def read_settings(path: Path | None, *, parse_float: Callable[[str], Any] = float) -> tuple[Path, dict[str, Any]]:
    """The file and what it says: `path`, or `trunkline.toml` here if there is one. Raises InvalidSettings."""
    where = path or CONFIG
    if path is None and not where.exists():
        return where, {}
    try:
        return where, tomllib.loads(where.read_text(encoding="utf-8"), parse_float=parse_float)
    except OSError as error:
        raise InvalidSettings(f"{where} cannot be read: {error.strerror}.", "Check the path and its rights.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{where} is not TOML: {error}.", "Correct that line.") from None


def table_of(document: Mapping[str, Any], name: str, where: Path) -> dict[str, Any]:
    """The table `[name]`; empty when there is none. Raises InvalidSettings."""
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise InvalidSettings(f"{where}: {name} is not a table.", f"Write [{name}] on a line of its own.")
    return table


def refuse_unknown(table: Mapping[str, Any], known: Collection[str], section: str, where: Path) -> None:
    """Raises InvalidSettings for a key of `section` that means nothing."""
    for key in table:
        if key not in known:
            near = get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"Did you mean `{near[0]}`?" if near else f"Known: {', '.join(known)}."
            raise InvalidSettings(f"{where}: {section} has an unknown key `{key}`.", hint)
