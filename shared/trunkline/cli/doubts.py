"""`trunkline doubts`: calls of which nobody knows whether they had their effect, and what a person says about them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from trunkline.cli.options import Json, Url

Call = Annotated[
    str, typer.Argument(metavar="CALL", help="As `trunkline doubts` lists it: RUN/STEP.", show_default=False)
]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so; else TRUNKLINE_USER, else your login.")]


def doubts(context: typer.Context, url: Url = "", as_json: Json = False) -> None:
    """Calls that were begun and left no result: whether they had their effect is not known.

    Look where the effect would be, and say what you found: `trunkline doubts done|not-done|retry CALL`.
    """
    from trunkline.cli.console import err, print_json, text
    from trunkline.cli.deciding import listed, show
    from trunkline.cli.session import run

    if context.invoked_subcommand:
        return
    found = run(listed(url, "in_doubt"))
    if as_json:
        print_json([each.as_data() for each in found])
    elif found:
        show(found, expiry=False)
    else:
        err().print(text(("No call is in doubt.", "faint")))


def done(
    call: Call,
    value: Annotated[str, typer.Option(metavar="JSON", help="What the call returns to its agent.")] = "null",
    by: By = "",
    url: Url = "",
    as_json: Json = False,
) -> None:
    """It happened: the run goes on with the value, and nothing is run again."""
    given = _json(value)
    _decide(url, call, "done", by, f"Its run goes on with the value {value.strip()}.", as_json=as_json, value=given)


def not_done(call: Call, by: By = "", url: Url = "", as_json: Json = False) -> None:
    """It did not happen, and shall not: its agent is told so."""
    _decide(url, call, "not_done", by, "Its agent is told so.", as_json=as_json)


def retry(call: Call, by: By = "", url: Url = "", as_json: Json = False) -> None:
    """It did not happen: run it again."""
    _decide(url, call, "retry", by, "It is run again as soon as the earlier attempt is over.", as_json=as_json)


def _decide(url: str, call: str, verdict: str, by: str, told: str, *, as_json: bool, value: Any = None) -> None:
    from trunkline.cli.deciding import decide, say
    from trunkline.cli.session import run

    question, decision = run(decide(url, "in_doubt", call, verdict, by=by, value=value))
    say(question, decision, as_json=as_json, told=told)


def _json(text: str) -> Any:  # any JSON value
    import orjson

    from trunkline.contracts.errors import InvalidArguments

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidArguments(
            f"--value {text[:60]!r} is not JSON: {error}.",
            "Write a text as '\"paid\"', a number as 42, an object as {…}.",
        ) from error
