"""The options that every command has."""

from typing import Annotated

import typer

PANEL = "Everywhere"

Url = Annotated[
    str,
    typer.Option(
        "--url",
        metavar="URL",
        help="The bus; commas between the servers of a cluster. Else NATS_URL, else nats://127.0.0.1:4222.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help='Print JSON; an error too, as {"error": …}, on stdout.', rich_help_panel=PANEL),
]
