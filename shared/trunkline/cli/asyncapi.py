"""`trunkline asyncapi`: the document that describes the whole platform."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.options import Url

if TYPE_CHECKING:
    from trunkline.contracts.asyncapi import Document


def asyncapi(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it here; else to stdout.", show_default=False)
    ] = None,
    log_only: Annotated[bool, typer.Option("--log-only", help="The log alone; no bus is needed.")] = False,
    url: Url = "",
    as_json: Annotated[bool, typer.Option("--json", help="It is JSON in any case.", hidden=True)] = False,  # noqa: ARG001  # every command has it
) -> None:
    """The AsyncAPI document: every subject of the log, and the request/reply subjects of the running services."""
    import orjson

    from trunkline import __version__
    from trunkline.cli.session import run
    from trunkline.contracts.asyncapi import platform_document

    edges = [] if log_only else run(_edges(url))
    document = platform_document(edges, version=__version__)
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    output.write_text(text)
    sys.stderr.write(f"wrote {output}: {len(document['channels'])} channels\n")


async def _edges(url: str) -> list[Document]:
    """What the services that run say of theirs."""
    from trunkline.cli.session import on_trunkline
    from trunkline.client.edges import edge_documents

    async with on_trunkline(url) as bus:
        return await edge_documents(bus)
