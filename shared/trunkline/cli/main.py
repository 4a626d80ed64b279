"""`trunkline`: which commands there are, and how they end."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import typer

from trunkline.cli.failures import ended

RUN = "Run"
ASK = "Ask"
LOOK = "Look"
OPERATE = "Operate"


@dataclass(frozen=True, slots=True)
class Command:
    """`name` as it is typed; with a space, the first word is a group, which may be a command itself. `where` is
    `module:function`. `amounts`: it takes some, so that what begins with a minus is no option.
    """

    panel: str
    name: str
    where: str
    amounts: bool = False


COMMANDS = (
    Command(RUN, "up", "up:up"),
    Command(RUN, "demo", "demo:demo"),
    Command(RUN, "run", "run:run_file"),
    Command(RUN, "new agent", "new:new_agent"),
    Command(ASK, "ask", "ask:ask"),
    Command(ASK, "chat", "chat:chat"),
    Command(ASK, "cancel", "cancel:cancel"),
    Command(ASK, "route", "route:route"),
    Command(ASK, "feedback", "feedback:feedback"),
    Command(LOOK, "status", "status:status"),
    Command(LOOK, "agents", "agents:agents"),
    Command(LOOK, "tools", "tools:tools"),
    Command(LOOK, "runs", "runs:runs"),
    Command(LOOK, "show", "show:show"),
    Command(LOOK, "replay", "replay:replay"),
    Command(LOOK, "totals", "totals:totals"),
    Command(LOOK, "spend", "spend:spend"),
    Command(LOOK, "events", "events:events"),
    Command(LOOK, "events import", "events_import:import_events"),
    Command(OPERATE, "approvals", "approvals:approvals"),
    Command(OPERATE, "approve", "approvals:approve"),
    Command(OPERATE, "deny", "approvals:deny"),
    Command(OPERATE, "doubts", "doubts:doubts"),
    Command(OPERATE, "doubts done", "doubts:done"),
    Command(OPERATE, "doubts not-done", "doubts:not_done"),
    Command(OPERATE, "doubts retry", "doubts:retry"),
    Command(OPERATE, "budget show", "budget:show"),
    Command(OPERATE, "budget set", "budget:set_limit", amounts=True),
    Command(OPERATE, "budget top-up", "budget:top_up", amounts=True),
    Command(OPERATE, "router backtest", "backtest:backtest"),
    Command(OPERATE, "provision", "provision:provision"),
    Command(OPERATE, "asyncapi", "asyncapi:asyncapi"),
    Command(OPERATE, "ledger rebuild", "ledger:rebuild"),
    Command(OPERATE, "dead list", "dead:list_letters"),
    Command(OPERATE, "dead show", "dead_show:show_letter"),
    Command(OPERATE, "dead requeue", "dead_requeue:requeue_letter"),
    Command(OPERATE, "dead drop", "dead_drop:drop_letters"),
)
GROUPS = {
    "new": (RUN, "Begin something from a template."),
    "budget": (OPERATE, "What may be spent: see how the budgets stand, set limits, allow more for now."),
    "router": (OPERATE, "Try out how questions are routed."),
    "ledger": (OPERATE, "The ledger's own affairs."),
    "dead": (OPERATE, "Messages that nobody could handle: look at them, ask again, drop them."),
}

HELP = """Run LLM agents in production on one message bus.

Every step of every run is one message on one log; these commands write to it and read from it.
"""


def assembled() -> typer.Typer:
    """The application with every command that is installed."""
    app = typer.Typer(
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    groups: dict[str, typer.Typer] = {}
    for command in COMMANDS:
        module, _, function = command.where.partition(":")
        if find_spec(f"trunkline.cli.{module}") is None:
            continue
        called = getattr(importlib.import_module(f"trunkline.cli.{module}"), function)
        group, _, leaf = command.name.rpartition(" ")
        if any(other.name.startswith(f"{command.name} ") for other in COMMANDS):
            groups[leaf] = typer.Typer(
                callback=called, invoke_without_command=True, help=_help(called), rich_markup_mode="rich"
            )
            app.add_typer(groups[leaf], name=leaf, rich_help_panel=command.panel)
            continue
        if group and group not in groups:
            groups[group] = _group(app, group)
        parent, panel = (groups[group], None) if group else (app, command.panel)
        settings = {"ignore_unknown_options": True} if command.amounts else None
        parent.command(leaf, help=_help(called), rich_help_panel=panel, context_settings=settings)(called)
    app.command("version", hidden=True)(version)
    return app


def version() -> None:
    """Print the version."""
    from trunkline import __version__

    typer.echo(__version__)


def main() -> None:
    """The entry point. The exit code is 2 for the caller's mistake, 130 for Ctrl-C, 1 for everything else."""
    sys.exit(ended(assembled(), as_json="--json" in sys.argv[1:]))


def _help(called: Callable[..., None]) -> str:
    """What its docstring says: each paragraph on a line, which the terminal wraps, and no bracket is markup."""
    paragraphs = (called.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).replace("[", r"\[")


def _group(app: typer.Typer, name: str) -> typer.Typer:
    panel, text = GROUPS[name]
    group = typer.Typer(help=text, no_args_is_help=True, rich_markup_mode="rich")
    app.add_typer(group, name=name, rich_help_panel=panel)
    return group
