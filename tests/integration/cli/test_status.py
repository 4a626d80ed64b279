"""`trunkline status` shows what a service does without."""

from __future__ import annotations

import asyncio
import os

from nats.aio.msg import Msg

from tests.integration.cli.conftest import Trunkline
from trunkline.bus import Bus
from trunkline.contracts.codec import encode
from trunkline.contracts.health import Health
from trunkline.contracts.subjects import health

AWAY = "openai is not asked for another 8 s: it failed 5 times in a row."


async def test_a_provider_that_is_left_alone_is_shown_once(bus: Bus) -> None:
    """However many processes say so."""

    async def answer(message: Msg) -> None:
        for pid in (1, 2):
            said = Health(service="agents", ready=True, pid=pid, without=(AWAY,))
            await bus.client.publish(message.reply, encode(said))

    await bus.client.subscribe(health("agents"), cb=answer)
    await bus.client.flush()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRUNKLINE_", "NATS_"))}
    trunkline = Trunkline({**kept, "NATS_URL": bus.url, "COLUMNS": "200"})
    shown = await asyncio.to_thread(trunkline, "status")
    assert [line for line in shown.out.splitlines() if "openai" in line] == [f"agents: {AWAY}"]
    as_json = await asyncio.to_thread(trunkline, "status", "--json")
    assert [each["without"] for each in as_json.json["services"]["agents"]] == [[AWAY], [AWAY]]
