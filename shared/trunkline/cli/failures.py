"""How a command ends when it does not end well: one readable message, and an exit code that says whose turn it is."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any

from trunkline.contracts.errors import CallerMistake, TrunklineError

if TYPE_CHECKING:
    import typer

CALLERS_MISTAKE = 2
FAILED = 1
INTERRUPTED = 130


def ended(app: typer.Typer, *, as_json: bool) -> int:
    """Run the application; whatever it raises becomes a message and the exit code that is returned."""
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except TrunklineError as error:
        _traceback_if_wanted()
        told(error, as_json=as_json)
        return exit_code(error)
    except Exception as error:  # noqa: BLE001  # the last line of defence: a person reads this
        _traceback_if_wanted()
        told(_unexpected(error), as_json=as_json)
        return FAILED
    return 0


def exit_code(error: TrunklineError) -> int:
    return CALLERS_MISTAKE if isinstance(error, CallerMistake) else FAILED


def told(error: TrunklineError, *, as_json: bool) -> None:
    """Say it: with JSON on stdout, where the answer would have been; else on stderr."""
    from trunkline.cli.console import clean, err, print_json, say, text

    if as_json:
        print_json({"error": as_data(error)})
        return
    say(err(), text(("Error: ", "error"), clean(error.what)))
    if error.hint:
        say(err(), text((clean(error.hint), "hint")))


def as_data(error: TrunklineError) -> dict[str, Any]:
    """A failure that was recorded in a run keeps its own code."""
    data = {"code": error.data.get("code", error.code), "message": error.what, "hint": error.hint}
    return data | {name: error.data[name] for name in ("run", "retry_after") if error.data.get(name)}


def _unexpected(error: Exception) -> TrunklineError:
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return TrunklineError(f"trunkline itself failed: {what}", "TRUNKLINE_DEBUG=1 shows where.")


def _traceback_if_wanted() -> None:
    from trunkline.cli.settings import CliSettings

    try:
        wanted = CliSettings.load().debug
    except TrunklineError:
        return
    if wanted:
        traceback.print_exc(file=sys.stderr)
