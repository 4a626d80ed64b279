"""What services write: JSON lines of structlog, and whatever else a library or a tool prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

LEVELS = ("debug", "info", "warning", "error", "critical")
NOT_FIELDS = frozenset({"action", "event", "exception", "hint", "level", "service", "timestamp"})
TRACEBACK = "Traceback (most recent call last):"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One event of a service's log. `fields` are its key-values without those that have a place of their own."""

    at: datetime
    service: str
    level: str
    sentence: str
    action: str = ""
    hint: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    traceback: str = ""

    @property
    def loud(self) -> bool:
        """Whether it is worth the attention of somebody who did not ask for everything."""
        return self.level not in {"debug", "info"}


class LogReader:
    """Makes log lines of one service's output; a traceback of many lines becomes one."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._traceback: list[str] = []

    def read(self, raw: bytes) -> list[LogLine]:
        text = raw.decode(errors="replace")
        if self._traceback and (text.startswith((" ", "\t")) or not text):
            self._traceback.append(text)
            return []
        if text.startswith(TRACEBACK):
            ended = self.rest()
            self._traceback = [text]
            return ended
        if self._traceback:
            return self._crash(text)
        return [self._line(raw, text)] if text.strip() else []

    def rest(self) -> list[LogLine]:
        """What was begun and not ended: a traceback whose process was killed under way."""
        return self._crash("") if self._traceback else []

    def _crash(self, error: str) -> list[LogLine]:
        traceback, self._traceback = "\n".join([*self._traceback, error]), []
        return [_plain(self._service, error or "a traceback without an end", "error", traceback)]

    def _line(self, raw: bytes, text: str) -> LogLine:
        try:
            event = orjson.loads(raw)
        except orjson.JSONDecodeError:
            event = None
        if not isinstance(event, dict) or "event" not in event:
            return _plain(self._service, text, "warning")
        return LogLine(
            at=_time(event.get("timestamp")),
            service=self._service,
            level=str(event.get("level", "info")),
            sentence=str(event["event"]),
            action=str(event.get("action", "")),
            hint=str(event.get("hint") or ""),
            fields={key: value for key, value in event.items() if key not in NOT_FIELDS},
            traceback=str(event.get("exception") or ""),
        )


def _plain(service: str, text: str, level: str, traceback: str = "") -> LogLine:
    return LogLine(at=datetime.now(UTC), service=service, level=level, sentence=text, traceback=traceback)


def _time(stamp: object) -> datetime:
    try:
        return datetime.fromisoformat(str(stamp))
    except ValueError:
        return datetime.now(UTC)
