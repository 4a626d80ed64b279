"""A service's settings from its environment; or one clear line, and the end of a process that cannot begin."""

from __future__ import annotations

import sys
from typing import TypeVar

import structlog
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from trunkline.contracts.errors import InvalidSettings
from trunkline.service.logs import configure_logs

SettingsKind = TypeVar("SettingsKind", bound=BaseSettings)


def from_environment(kind: type[SettingsKind], service: str) -> SettingsKind:
    """Exits with 2 when it cannot be used: to begin once more would not help."""
    try:
        return read(kind)
    except InvalidSettings as error:
        configure_logs(service)
        structlog.get_logger(f"trunkline.{service}").error(error.what, action="cannot_start", hint=error.hint)
        sys.exit(2)


def read(kind: type[SettingsKind]) -> SettingsKind:
    """Raises InvalidSettings, which names the first variable that is wrong; not its value, which may be a secret."""
    try:
        return kind()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = str(first["loc"][0])
        field = kind.model_fields.get(where)
        variable = f"{kind.model_config['env_prefix']}{where}".upper() if field else where
        raise InvalidSettings(
            f"{variable} cannot be used: {first['msg']}.", (field and field.description) or "Correct or unset it."
        ) from None
