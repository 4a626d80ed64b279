"""`trunkline provision`: the streams and buckets on a bus that somebody else runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.bus import Bus

Differences = dict[str, dict[str, tuple[Any, Any]]]


def provision(
    replicas: Annotated[int, typer.Option(min=1, max=5, help="Copies of each stream; 3 in a cluster of three.")] = 1,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Create the streams and buckets that are missing.

    What exists is never changed; where it differs from what is declared, that is said, and the exit code is 1.
    """
    from trunkline.cli.console import print_json
    from trunkline.cli.session import run

    created, kept, differing = run(_provisioned(url, replicas))
    if as_json:
        as_data = {
            stream: {name: {"declared": declared, "found": found} for name, (declared, found) in differences.items()}
            for stream, differences in differing.items()
        }
        print_json({"created": created, "kept": kept, "differing": as_data})
    else:
        _show(created, kept, differing)
    if differing:
        raise typer.Exit(1)


async def _provisioned(url: str, replicas: int) -> tuple[list[str], list[str], Differences]:
    from trunkline.bus.provision import provision as ensure
    from trunkline.bus.provision import streams
    from trunkline.cli.session import on_bus

    names = [config["name"] for config in streams(replicas)]
    async with on_bus(url) as bus:
        await bus.check_jetstream()
        before = {name for name in names if await _exists(bus, name)}
        differing = await ensure(bus, replicas=replicas)
    return [name for name in names if name not in before], [name for name in names if name in before], differing


async def _exists(bus: Bus, stream: str) -> bool:
    return "error" not in await bus.api(f"STREAM.INFO.{stream}")


def _show(created: list[str], kept: list[str], differing: Differences) -> None:
    from trunkline.cli.console import clean, out, print_table, say, table, text

    shown = table("stream", "state", "", flexible="")
    for name in sorted([*created, *kept]):
        if name in created:
            shown.add_row(name, text(("created", "good")), "")
        elif name not in differing:
            shown.add_row(name, text(("as declared", "faint")), "")
        for setting, (declared, found) in differing.get(name, {}).items():
            said = clean(f"{setting} is {found}, declared is {declared}")
            shown.add_row(name, text(("differs", "warn")), said)
    print_table(shown)
    if differing:
        hint = "What exists is never changed: correct it with the nats tool, or give the --replicas that it has."
        say(out(), text((hint, "hint")))
