"""Who would get a question, and why: the decision without its consequences."""

from __future__ import annotations

import msgspec
from pydantic import BaseModel

from trunkline.bus import Bus
from trunkline.contracts.ids import new_run_id
from trunkline.contracts.messages import Failure, Part, Request, Route
from trunkline.contracts.subjects import RunKey
from trunkline_router.classifiers.classify import Verdict
from trunkline_router.deciding.decide import dispatch
from trunkline_router.deciding.routes import Routes
from trunkline_router.deciding.talk import Partners, partner_of
from trunkline_router.settings import RouterSettings


class Question(BaseModel):
    """Who would get this question, asked anew or as the next one of a conversation?"""

    text: str
    agent: str = ""
    conversation: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agent and the route, or why nobody. `partner`: who the conversation is with; `unasked`: the hosted
    model that would have been asked for a request, since the router is not sure.
    """

    agent: str = ""
    route: Route = Route()
    tier: str = ""
    parts: tuple[Part, ...] = ()
    partner: str = ""
    unasked: str = ""
    refusal: Failure | None = None


async def explain(question: Question, routes: Routes, settings: RouterSettings, bus: Bus | None) -> Explanation:
    """Nothing is written and nothing is paid. Raises InvalidName, BusUnavailable."""
    await routes.settled()
    unasked: list[str] = []

    async def leave_unasked(_text: str, _verdict: Verdict) -> None:
        unasked.append(settings.router_model)

    partner = ""
    if bus and question.conversation:
        partner = await partner_of(bus, RunKey.checked(new_run_id(), question.conversation), Partners())
    request = Request(text=question.text, agent=question.agent)
    ask = leave_unasked if settings.router_model else None
    found = await dispatch(request, routes, settings, partner=partner, ask=ask)
    return Explanation(
        agent=found.agent,
        route=msgspec.structs.replace(found.route, asked=False),
        tier=found.tier,
        parts=found.parts,
        partner=partner,
        unasked="".join(unasked),
        refusal=found.refusal,
    )
