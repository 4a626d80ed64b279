"""`trunkline approvals`, `approve` and `deny`: calls that a person must allow before they are run."""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.options import Json, Url

Call = Annotated[
    str, typer.Argument(metavar="CALL", help="As `trunkline approvals` lists it: RUN/STEP.", show_default=False)
]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides; else TRUNKLINE_USER, else your login.")]


def approvals(url: Url = "", as_json: Json = False) -> None:
    """Calls that wait for a person: they are not run before somebody approves them."""
    from trunkline.cli.console import err, print_json, text
    from trunkline.cli.deciding import listed, show
    from trunkline.cli.session import run

    found = run(listed(url, "approve"))
    if as_json:
        print_json([each.as_data() for each in found])
    elif found:
        show(found, expiry=True)
    else:
        err().print(text(("No call waits for an approval.", "faint")))


def approve(call: Call, by: By = "", url: Url = "", as_json: Json = False) -> None:
    """Let a call run, with exactly the arguments that are listed."""
    from trunkline.cli.deciding import decide, say
    from trunkline.cli.session import run

    question, decision = run(decide(url, "approve", call, "approved", by=by))
    say(question, decision, as_json=as_json, told="It is run now.")


def deny(
    call: Call,
    reason: Annotated[str, typer.Option(help="Why; the agent is told.")] = "",
    by: By = "",
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Refuse a call: it is not run, and its agent is told."""
    from trunkline.cli.deciding import decide, say
    from trunkline.cli.session import run

    question, decision = run(decide(url, "approve", call, "denied", by=by, value=reason or None))
    say(question, decision, as_json=as_json, told="Its agent is told so.")
