"""`trunkline provision`: the streams and buckets on a bus that somebody else runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.bus.provision import Provisioned


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

    done = run(_provisioned(url, replicas))
    if as_json:
        print_json(_as_data(done))
    else:
        _show(done)
    if done.differing:
        raise typer.Exit(1)


async def _provisioned(url: str, replicas: int) -> Provisioned:
    from trunkline.bus.provision import provision as ensure
    from trunkline.cli.session import on_bus

    async with on_bus(url) as bus:
        return await ensure(bus, replicas=replicas)


def _as_data(done: Provisioned) -> dict[str, Any]:
    differing = {
        stream: {name: {"declared": declared, "found": found} for name, (declared, found) in differences.items()}
        for stream, differences in done.differing.items()
    }
    return {"created": done.created, "kept": done.kept, "differing": differing}


def _show(done: Provisioned) -> None:
    from trunkline.cli.console import clean, out, print_table, say, table, text

    shown = table("stream", "state", "", flexible="")
    for name in sorted([*done.created, *done.kept]):
        if name in done.created:
            shown.add_row(name, text(("created", "good")), "")
        elif name not in done.differing:
            shown.add_row(name, text(("as declared", "faint")), "")
        for setting, (declared, found) in done.differing.get(name, {}).items():
            said = clean(f"{setting} is {found}, declared is {declared}")
            shown.add_row(name, text(("differs", "warn")), said)
    print_table(shown)
    if done.differing:
        hint = "What exists is never changed: correct it with the nats tool, or give the --replicas that it has."
        say(out(), text((hint, "hint")))
