"""A cluster of nats-servers on loopback, whose members can be killed, and looked up by what they lead."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson

from tests.nats_server import NatsServer
from trunkline.bus import Bus, provision
from trunkline.bus.provision import streams
from trunkline.contracts.errors import BusUnavailable
from trunkline.contracts.subjects import TRUNK
from trunkline.host.server import free_port

ROUTES = """\
cluster {{
  name: trunkline
  listen: "127.0.0.1:{port}"
  routes: [{routes}]
}}
"""
SIZE = 3
FORM_SECONDS = 60.0


class Cluster:
    """Three servers, each with a folder below `folder`; `url` names them all. Everything on them has three copies."""

    def __init__(self, folder: Path) -> None:
        ports = [free_port() for _ in range(SIZE)]
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
        self.nodes = {
            name: NatsServer(folder / name, name=name, more=ROUTES.format(port=port, routes=routes))
            for name, port in zip(("n1", "n2", "n3"), ports, strict=True)
        }
        self.url = ",".join(node.url for node in self.nodes.values())

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Cluster]:
        """Formed and provisioned inside."""
        try:
            await asyncio.gather(*(node.start() for node in self.nodes.values()))
            async with Bus.open(self.url, name="cluster", wait=FORM_SECONDS) as bus:
                await self._provision(bus)
                await self.until_whole(bus)
            yield self
        finally:
            await asyncio.gather(*(node.stop() for node in self.nodes.values()))

    async def leader(self, bus: Bus, *, consumer: str = "") -> str:
        """The node that leads the log, or one of its consumers; "" while nobody does."""
        what = f"CONSUMER.INFO.{TRUNK}.{consumer}" if consumer else f"STREAM.INFO.{TRUNK}"
        try:
            answer = await bus.api(what, wait=1.0)
        except BusUnavailable:
            return ""
        return str(answer.get("cluster", {}).get("leader", ""))

    async def meta_leader(self) -> str:
        """The node that places streams and consumers; "" while nobody does."""
        for node in self.nodes.values():
            if node.alive:
                found = await asyncio.to_thread(_get, f"http://127.0.0.1:{node.monitoring}/jsz")
                return str(found.get("meta_cluster", {}).get("leader", ""))
        return ""

    async def until_whole(self, bus: Bus) -> None:
        """Until every copy of every stream, and of every durable consumer of the log, is up to date."""
        deadline = asyncio.get_running_loop().time() + FORM_SECONDS
        while behind := await self._behind(bus):
            assert asyncio.get_running_loop().time() < deadline, f"not up to date: {behind}"
            await asyncio.sleep(0.1)

    async def _behind(self, bus: Bus) -> list[str]:
        """What has no leader, or copies that are not up to date."""
        asked = [f"STREAM.INFO.{config['name']}" for config in streams()]
        try:
            names = (await bus.api(f"CONSUMER.NAMES.{TRUNK}", wait=1.0)).get("consumers") or []
            asked += [f"CONSUMER.INFO.{TRUNK}.{name}" for name in names if not name.startswith("follow-")]
            answers = [(what, await bus.api(what, wait=1.0)) for what in asked]
        except BusUnavailable as error:
            return [str(error)]
        return [what for what, answer in answers if not _whole(answer)]

    async def _provision(self, bus: Bus) -> None:
        """Refused until the nodes have found one another."""
        async with asyncio.timeout(FORM_SECONDS):
            while True:
                with contextlib.suppress(BusUnavailable):
                    await provision(bus, replicas=SIZE)
                    return
                await asyncio.sleep(0.1)


def _whole(answer: dict[str, Any]) -> bool:
    group = answer.get("cluster", {})
    copies = group.get("replicas") or []
    return bool(group.get("leader")) and len(copies) == SIZE - 1 and all(copy["current"] for copy in copies)


def _get(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as reply:
        found: dict[str, Any] = orjson.loads(reply.read())
        return found
