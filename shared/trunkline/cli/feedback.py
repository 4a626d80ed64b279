"""`trunkline feedback`: say whether an answer was good, and who should have given it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.options import Json, Url

if TYPE_CHECKING:
    from trunkline.client.feedback import Given


class Verdict(StrEnum):
    good = "good"
    bad = "bad"
    neutral = "neutral"


VALUES = {Verdict.good: 1, Verdict.bad: -1, Verdict.neutral: 0}


def feedback(
    run: Annotated[str, typer.Argument(help="The run's id, or its beginning.", show_default=False)],
    verdict: Annotated[Verdict, typer.Argument(help="What the answer was; neutral takes back what was said before.")],
    agent: Annotated[
        str, typer.Option("--agent", "-a", metavar="NAME", help="Who should have answered.", show_default=False)
    ] = "",
    comment: Annotated[str, typer.Option("--comment", "-c", help="For people to read.", show_default=False)] = "",
    user: Annotated[str, typer.Option("--user", "-u", help="Whose verdict it is. Else TRUNKLINE_USER.")] = "",
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Say whether an answer was good, and who should have given it.

    The router learns from it when it is of the user who asked, or of an operator; it may be said again, the last
    word counts.
    """
    from trunkline.cli.console import clean, err, out, print_json, say, text
    from trunkline.cli.session import run as settled
    from trunkline.contracts.ids import checked_token

    given, asked_by = settled(_given(url, checked_token(run, "run"), VALUES[verdict], agent, comment, user))
    said = given.feedback
    if as_json:
        print_json(
            {
                "run": given.key.run,
                "conversation": given.key.conversation,
                "verdict": said.verdict,
                "agent": said.agent,
                "comment": said.comment,
                "by": said.by,
                "asked_by": asked_by,
                "number": given.number,
            }
        )
        return
    better = f"; {clean(said.agent)} should have answered" if said.agent else ""
    again = ", in place of what was said before" if given.number > 1 else ""
    say(out(), text(f"Run {given.key.run}: {verdict.value}{better}{again}."))
    if said.by != asked_by:
        whose = f"{clean(asked_by)} had asked (--user)" if asked_by else "It was asked without a name"
        say(err(), text((f"{whose}; the router learns from whoever asked, and from operators.", "hint")))


async def _given(url: str, run: str, verdict: int, agent: str, comment: str, user: str) -> tuple[Given, str]:
    """What stands on the log now, and who had asked."""
    from trunkline.bus import fold
    from trunkline.cli.log_reading import FULL_ID
    from trunkline.cli.session import on_trunkline
    from trunkline.cli.settings import CliSettings
    from trunkline.client.feedback import give_feedback
    from trunkline.client.query import query
    from trunkline.contracts.messages import Feedback, Request, Task

    settings = CliSettings.load()
    said = Feedback(verdict=verdict, agent=agent, comment=comment, by=user or settings.user)
    async with on_trunkline(url) as bus:
        if len(run) < FULL_ID:
            run = (await query(bus, "ledger", "run", run=run))["summary"]["run"]
        given = await give_feedback(bus, settings.tenant, run, said)
        events = await fold(bus, given.key.everything)
    askers = (event.fact.user for event in events if isinstance(event.fact, Request | Task))
    return given, next(askers, "")
