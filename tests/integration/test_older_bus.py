"""A bus that an older version made lacks streams: whoever cannot do without them says what to run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.fundamentals.conftest import routed
from tests.nats_server import NatsServer
from trunkline.bus import Bus
from trunkline.bus.provision import provision
from trunkline.contracts.errors import BusUnavailable
from trunkline.service import Service, ServiceSettings, hosting
from trunkline_ledger.app import ledger_service
from trunkline_ledger.settings import Settings
from trunkline_router.app import router_service
from trunkline_router.settings import RouterSettings
from trunkline_tools.app import tools_service
from trunkline_tools.service_settings import ToolsSettings

USERS = """
authorization {
  users: [
    {user: operator, password: x}
    {user: service, password: x, permissions: {publish: {deny: ["$JS.API.STREAM.CREATE.>"]}}}
  ]
}
"""


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """On which services may not create streams."""
    made = NatsServer(tmp_path / "bus", more=USERS)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def as_user(name: str, server: NatsServer) -> str:
    return server.url.replace("nats://", f"nats://{name}:x@")


async def without(stream: str, server: NatsServer) -> None:
    """A bus that has all streams but one."""
    async with Bus.open(as_user("operator", server)) as bus:
        await provision(bus)
        await bus.api(f"STREAM.DELETE.{stream}")


@pytest.mark.parametrize("stream", ["TRUNK", "BUDGET", "KV_agents", "KV_marks"])
async def test_a_router_without_its_streams_says_what_to_run(bus: Bus, stream: str) -> None:
    await bus.api(f"STREAM.DELETE.{stream}")
    with pytest.raises(BusUnavailable, match="trunkline provision") as refused:
        async with routed(bus):
            pass
    assert stream in refused.value.what


@pytest.mark.parametrize("stream", ["BUDGET", "KV_answers"])
async def test_services_that_may_not_create_a_stream_say_who_may(
    guarded: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    monkeypatch.setattr(import_module("trunkline.bus.provision"), "CREATE_SECONDS", 0.5)
    await without(stream, guarded)
    url = as_user("service", guarded)
    services: list[Service] = [
        router_service(RouterSettings.model_validate({"nats_url": url})),
        ledger_service(ServiceSettings.model_validate({"nats_url": url}), Settings(data=tmp_path)),
        tools_service(ToolsSettings(nats_url=url, mcp=False)),
    ]
    for service in services:
        with pytest.raises(BusUnavailable, match=f"The bus has no stream {stream}, and it could not be") as refused:
            await hosting._run(service)
        assert refused.value.hint.startswith("Run `trunkline provision` as somebody who may create streams")
