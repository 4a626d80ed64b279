"""Opens the models that the settings name, and sends each query to the one that serves it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from trunkline.contracts.dialog import ModelQuery, ModelReply
from trunkline.contracts.errors import InvalidSettings
from trunkline.models.breaker import Breaker, BreakerSettings
from trunkline.models.offline import OfflineModel
from trunkline.models.port import ModelClient
from trunkline.models.settings import ModelSettings
from trunkline.models.tiers import OFFLINE, resolve

if TYPE_CHECKING:
    from trunkline.models.provider import ProviderModels

INSTALL = "Install `trunkline[models]`."


class Models:
    """All models behind one port. A provider's SDK is imported when its first model is prepared or asked.

    A provider that keeps failing is left alone for a while.
    """

    def __init__(self, settings: ModelSettings, offline: ModelClient | None = None) -> None:
        self._settings = settings
        self._offline = offline or OfflineModel()
        self._remote: ProviderModels | None = None
        self._opening = asyncio.Lock()
        self._breakers: dict[str, Breaker] = {}

    def resolve(self, name: str) -> tuple[str, ...]:
        """The chain of a tier, or the one model, each as `provider:model`. Raises InvalidSettings."""
        return resolve(self._settings, name)

    async def prepare(self, names: Iterable[str]) -> None:
        """Import what these models need, which takes seconds, before somebody waits for it. Raises InvalidSettings."""
        for model in {model for name in names for model in self.resolve(name)}:
            if model.partition(":")[0] != OFFLINE:
                await (await self._providers()).prepare(model)

    @property
    def away(self) -> tuple[str, ...]:
        """Providers that are not asked now, and why."""
        return tuple(breaker.trouble for breaker in self._breakers.values() if breaker.trouble)

    async def complete(self, query: ModelQuery, on_text: Callable[[str], None]) -> ModelReply:
        """Of a tier's chain, the first model is asked. Raises CircuitOpen while its provider is left alone."""
        model, *_ = self.resolve(query.model)
        if model != query.model:
            query = msgspec.structs.replace(query, model=model)
        provider = model.partition(":")[0]
        if provider == OFFLINE:
            return await self._offline.complete(query, on_text)
        with self._breaker(provider).guarding(model):
            client = await self._providers()
            return await client.complete(query, on_text)

    async def close(self) -> None:
        await self._offline.close()
        if self._remote is not None:
            await self._remote.close()

    def _breaker(self, provider: str) -> Breaker:
        if provider not in self._breakers:
            ours = self._settings
            limits = BreakerSettings(ours.breaker_failures, ours.breaker_window_seconds, ours.breaker_pause_seconds)
            self._breakers[provider] = Breaker(provider, limits)
        return self._breakers[provider]

    async def _providers(self) -> ProviderModels:
        """Opened in a thread: importing takes a second, and others have heartbeats to send meanwhile."""
        async with self._opening:
            if self._remote is None:
                self._remote = await asyncio.to_thread(_open_providers, self._settings)
            return self._remote


def _open_providers(settings: ModelSettings) -> ProviderModels:
    try:
        from trunkline.models.provider import ProviderModels
    except ImportError as error:
        raise InvalidSettings(f"No provider can be asked without {error.name}.", INSTALL) from error
    return ProviderModels(settings)


def open_models(settings: ModelSettings, *, offline_delay: float = 0.0) -> Models:
    """A client for every model that `settings` can reach. `offline_delay`: seconds before each offline word."""
    return Models(settings, OfflineModel(offline_delay))
