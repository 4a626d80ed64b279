"""What a child is told: its settings, and of our own environment no more than it needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

PLAIN = frozenset({"HOME", "LANG", "LANGUAGE", "PATH", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV"})
PREFIXES = ("LC_", "OTEL_", "PYTHON", "SSL_CERT_", "TRUNKLINE_")
SECRET_ENDINGS = ("KEY", "TOKEN", "SECRET", "PASSWORD")
OURS = frozenset({"NATS_URL", "TRUNKLINE_HTTP"})
"""Never passed on as they are: each child is told its bus, and one port cannot serve them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What all children are told alike. `drain` in seconds."""

    url: str
    data: Path
    config: Path | None = None
    drain: float = 20.0

    def variables(self) -> dict[str, str]:
        """As environment variables, those of `trunkline.service.ServiceSettings`."""
        said = {
            "NATS_URL": self.url,
            "TRUNKLINE_DATA": str(self.data),
            "TRUNKLINE_DRAIN": f"{self.drain:g}",
            "TRUNKLINE_LOG_FORMAT": "json",
        }
        return said | ({"TRUNKLINE_CONFIG": str(self.config.absolute())} if self.config else {})


def with_keys() -> dict[str, str]:
    """For agents: everything that the user has set, provider keys among it."""
    return {name: value for name, value in _ours().items() if name not in OURS}


def without_keys() -> dict[str, str]:
    """For all others: what a program needs to run, and our own settings; no secrets, no bus."""
    return {name: value for name, value in _ours().items() if _harmless(name)}


def file_list(name: str, files: tuple[Path, ...]) -> dict[str, str]:
    """A list setting as pydantic-settings reads it: JSON."""
    return {name: orjson.dumps([str(file.absolute()) for file in files]).decode()}


def _harmless(name: str) -> bool:
    known = name in PLAIN or name.startswith(PREFIXES)
    return known and name not in OURS and not name.endswith(SECRET_ENDINGS)


def _ours() -> Mapping[str, str]:
    return os.environ  # noqa: TID251  # not read as settings: handed on to children, or held back
