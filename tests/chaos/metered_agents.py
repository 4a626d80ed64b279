"""The agents' service with an offline model that takes its time, and counts beside the log what it was paid for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from trunkline.contracts.dialog import ModelQuery, ModelReply, UserMessage
from trunkline.models import ModelSettings, OfflineModel
from trunkline.models.registry import Models
from trunkline_agents import __main__, app

FOLDER = "CHAOS_FOLDER"
MODEL_SECONDS = "CHAOS_MODEL_SECONDS"


class Metered:
    """Before it answers, it writes `<run> <step> <process>` into `paid`: the words with which the question begins."""

    def __init__(self, file: Path, seconds: float) -> None:
        self._file = file
        self._seconds = seconds
        self._model = OfflineModel()

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        asked = query.messages[-1]
        assert isinstance(asked, UserMessage)
        step = asked.text.partition(":")[0]
        with self._file.open("a") as lines:
            lines.write(f"{step} {os.getpid()}\n")
        await asyncio.sleep(self._seconds)
        return await self._model.complete(query, on_text)

    async def close(self) -> None:
        await self._model.close()


def open_metered(settings: ModelSettings) -> Models:
    return Models(settings, Metered(Path(os.environ[FOLDER]) / "paid", float(os.environ[MODEL_SECONDS])))


if __name__ == "__main__":
    setattr(app, "open_models", open_metered)  # noqa: B010  # the same port, put in its place
    __main__.main()
