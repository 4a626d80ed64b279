"""Logs are events: a sentence for people, an `action` and ids for machines."""

import logging
import sys
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import Processor


def configure_logs(service: str, *, format: Literal["auto", "json", "text"] = "auto", level: str = "info") -> None:  # noqa: A002  # the setting's name
    """Everything goes to stderr: JSON lines, or text where a person looks on."""
    structlog.contextvars.bind_contextvars(service=service)
    text = format == "text" or (format == "auto" and sys.stderr.isatty())
    renderer: Processor = structlog.dev.ConsoleRenderer() if text else structlog.processors.JSONRenderer(_dumps)
    exceptions: list[Processor] = [] if text else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *exceptions,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")


def _dumps(event: Any, **_: object) -> str:  # structlog's own signature
    return orjson.dumps(event, default=str).decode()
