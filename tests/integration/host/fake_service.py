"""`python fake_service.py NAME [MOOD]`: answers for its health, and leaves as its mood is."""

import asyncio
import json
import os
import signal
import sys

import nats
from nats.aio.msg import Msg


async def main(name: str, mood: str) -> None:
    if mood == "refuses":
        sys.stderr.write(json.dumps({"event": "the file is broken", "level": "error", "hint": "Mend it."}) + "\n")
        sys.exit(2)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, (lambda: None) if mood == "deaf" else stop.set)
    connection = await nats.connect(os.environ["NATS_URL"])

    async def answer(message: Msg) -> None:
        await message.respond(json.dumps({"service": name, "ready": True, "pid": os.getpid()}).encode())

    await connection.subscribe(f"health.{name}", cb=answer)
    await stop.wait()
    sys.stderr.write("all done\n")
    await connection.close()


asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
