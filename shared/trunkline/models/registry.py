"""Opens the models that the settings name, and sends each query to the one that serves it."""

import asyncio
from collections.abc import Callable

import msgspec

from trunkline.contracts.dialog import ModelQuery, ModelReply
from trunkline.contracts.errors import InvalidSettings
from trunkline.models.offline import OfflineModel
from trunkline.models.port import ModelClient
from trunkline.models.settings import ModelSettings
from trunkline.models.tiers import OFFLINE, resolve

INSTALL = "Install `trunkline[models]`."


class Models:
    """All models behind one port. A provider's SDK is imported when its first model is asked."""

    def __init__(self, settings: ModelSettings, offline: ModelClient | None = None) -> None:
        self._settings = settings
        self._offline = offline or OfflineModel()
        self._remote: ModelClient | None = None
        self._opening = asyncio.Lock()

    def resolve(self, name: str) -> str:
        """A tier or `provider:model` as `provider:model`. Raises InvalidSettings."""
        return resolve(self._settings, name)

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        model = self.resolve(query.model)
        client = self._offline if model.startswith(f"{OFFLINE}:") else await self._providers()
        if model != query.model:
            query = msgspec.structs.replace(query, model=model)
        return await client.complete(query, on_text)

    async def close(self) -> None:
        await self._offline.close()
        if self._remote is not None:
            await self._remote.close()

    async def _providers(self) -> ModelClient:
        """Opened in a thread: importing takes a second, and others have heartbeats to send meanwhile."""
        async with self._opening:
            if self._remote is None:
                self._remote = await asyncio.to_thread(_open_providers, self._settings)
            return self._remote


def _open_providers(settings: ModelSettings) -> ModelClient:
    try:
        from trunkline.models.provider import ProviderModels
    except ImportError as error:
        raise InvalidSettings(f"No provider can be asked without {error.name}.", INSTALL) from error
    return ProviderModels(settings)


def open_models(settings: ModelSettings, *, offline_delay: float = 0.0) -> Models:
    """A client for every model that `settings` can reach. `offline_delay`: seconds before each offline word."""
    return Models(settings, OfflineModel(offline_delay))
