"""The agents' service with a paid model that takes its time, and keeps books beside the log of what it was paid.

A question begins with the tokens that its reply has. What a token costs stands in the settings file.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from trunkline.contracts.dialog import ModelQuery, ModelReply, Usage, UserMessage
from trunkline.models import ModelSettings
from trunkline.models.registry import Models
from trunkline_agents import __main__, app

BOOKS = "CHAOS_BOOKS"
SECONDS = "CHAOS_SECONDS"


class Paid:
    """Before it answers, it writes a line into the books: the tokens that it is paid for, and by which process."""

    def __init__(self, books: Path, seconds: float) -> None:
        self._books = books
        self._seconds = seconds

    async def complete(self, query: ModelQuery, _: Callable[[str], None]) -> ModelReply:
        asked = query.messages[-1]
        assert isinstance(asked, UserMessage)
        tokens = int(asked.text.partition(" ")[0])
        with self._books.open("a") as books:
            books.write(f"{tokens} {os.getpid()}\n")
        await asyncio.sleep(self._seconds)
        return ModelReply(model=query.model, text="Well.", usage=Usage(input_tokens=100, output_tokens=tokens))

    async def close(self) -> None: ...


def open_paid(settings: ModelSettings) -> Models:
    return Models(settings, Paid(Path(os.environ[BOOKS]), float(os.environ[SECONDS])))


if __name__ == "__main__":
    setattr(app, "open_models", open_paid)  # noqa: B010  # the same port, put in its place
    __main__.main()
