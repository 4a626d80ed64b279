"""`trunkline status`: is everything there?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.bus import Bus
    from trunkline.bus.streams import StreamInfo
    from trunkline.contracts.health import Health

START = {
    "router": "python -m trunkline_router",
    "agents": "trunkline run FILE.py",
    "tools": "python -m trunkline_tools FILE.py",
    "ledger": "python -m trunkline_ledger",
}


@dataclass(frozen=True, slots=True)
class Stream:
    """`messages` is None when the stream is missing."""

    name: str
    messages: int | None = None
    bytes: int = 0
    consumers: int = 0


@dataclass(frozen=True, slots=True)
class Platform:
    """What was found on the bus."""

    url: str
    server: str
    streams: list[Stream]
    services: dict[str, list[Health]]

    @property
    def troubles(self) -> dict[str, str]:
        """Of services that cannot write to the log: why."""
        return {name: each.trouble for name, found in self.services.items() for each in found if each.trouble}

    @property
    def without(self) -> list[tuple[str, str]]:
        """A service, and what it does without for a while."""
        found = ((name, what) for name, each in self.services.items() for health in each for what in health.without)
        return list(dict.fromkeys(found))

    @property
    def missing(self) -> list[str]:
        """Streams and services that are not there, and services of which no process is ready."""
        away = [stream.name for stream in self.streams if stream.messages is None]
        return away + [name for name, found in self.services.items() if not any(each.ready for each in found)]


def status(url: Url = "", as_json: Json = False) -> None:
    """The bus, its streams, the services: is all of it there?

    The exit code is 1 when a stream or a service is missing, or a service cannot write to the log.
    """
    from trunkline.cli.console import print_json
    from trunkline.cli.session import run

    platform = run(_look(url))
    if as_json:
        print_json(_as_data(platform))
    else:
        _show(platform)
    if platform.missing or platform.troubles:
        raise typer.Exit(1)


async def _look(url: str) -> Platform:
    from trunkline.bus.provision import streams
    from trunkline.bus.streams import find_stream
    from trunkline.cli.health import healths
    from trunkline.cli.session import on_bus

    async with on_bus(url) as bus:
        await bus.check_jetstream()
        names = [config["name"] for config in streams()]
        found = [_stream(name, await find_stream(bus, name)) for name in names]
        version = _version(bus)
        return Platform(bus.url, version, found, await healths(bus))


def _version(bus: Bus) -> str:
    version = bus.client.connected_server_version
    return f"{version.major}.{version.minor}.{version.patch}"


def _stream(name: str, info: StreamInfo | None) -> Stream:
    return Stream(name, info.messages, info.size, info.consumers) if info else Stream(name)


def _as_data(platform: Platform) -> dict[str, Any]:
    import msgspec

    return {
        "bus": {"url": platform.url, "server": platform.server, "jetstream": True},
        "streams": msgspec.to_builtins(platform.streams),
        "services": msgspec.to_builtins(platform.services),
        "missing": platform.missing,
    }


def _show(platform: Platform) -> None:
    from trunkline.cli.console import clean, out, print_table, table, text
    from trunkline.cli.figures import count, size

    out().print(text(("bus  ", "faint"), (clean(platform.url), "name")), end="")
    out().print(text((f"  nats-server {clean(platform.server)}, JetStream", "faint")))
    out().print()
    streams = table("stream", "messages", "size", "consumers", right=["messages", "size", "consumers"])
    for stream in platform.streams:
        if stream.messages is None:
            streams.add_row(stream.name, text(("missing", "bad")), "", "")
        else:
            streams.add_row(stream.name, count(stream.messages), size(stream.bytes), count(stream.consumers))
    print_table(streams)
    out().print()
    _show_services(platform)


def _show_services(platform: Platform) -> None:
    from trunkline.cli.console import clean, out, print_table, say, table, text
    from trunkline.cli.figures import span

    shown = table("service", "state", "up", "pid", "version", right=["up", "pid"])
    for name, found in platform.services.items():
        for health in found:
            state = text(("ready", "good") if health.ready else ("starting or stopping", "warn"))
            shown.add_row(name, state, span(health.uptime), str(health.pid), clean(health.version))
        if not found:
            shown.add_row(name, text(("missing", "bad")), "", "", "")
    print_table(shown)
    if platform.troubles:
        out().print()
    for name, trouble in platform.troubles.items():
        say(out(), text((f"{name} cannot write to the log. ", "bad"), clean(trouble)))
    for name, what in platform.without:
        say(out(), text((f"{name}: ", "faint"), (clean(what), "warn")))
    away = [name for name in platform.services if name in platform.missing]
    if away:
        out().print()
    for name in away:
        say(out(), text(f"No {name} is ready. ", ("Start it: ", "faint"), START[name]))
    if any(stream.messages is None for stream in platform.streams):
        say(out(), text("Streams are missing: ", ("trunkline provision", "name"), " creates them."))
