"""Who spends, what limits that, and in which windows it is counted: days and months of UTC, by the server's clock."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from trunkline.contracts.subjects import budget_counter
from trunkline.prices import Money

Kind = Literal["run", "conversation", "user-day", "agent-day", "tenant-day", "tenant-month"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ANONYMOUS = "anonymous"
"""All users without a name are one."""
NO_WINDOW = "-"
LONGEST_NAME = 200
"""Characters; a client may say to be anybody, and each amount bears the name."""


@dataclass(frozen=True, slots=True)
class Spender:
    """For whom a call is paid. `run` is the one that a user asked for: what it delegates is paid from its budget."""

    tenant: str
    conversation: str
    run: str
    user: str
    agent: str

    def who(self, kind: Kind) -> str:
        """Whose budget of this kind it is."""
        match kind:
            case "run":
                return self.run
            case "conversation":
                return self.conversation
            case "user-day":
                return name_of(self.user) or ANONYMOUS
            case "agent-day":
                return self.agent
            case "tenant-day" | "tenant-month":
                return self.tenant


@dataclass(frozen=True, slots=True)
class Limit:
    """No more than `amount` in this window, which ends at `resets`; a run and a conversation have one window only."""

    kind: Kind
    who: str
    window: str
    amount: Money
    resets: datetime | None


def window_of(kind: Kind, now: datetime) -> str:
    """`2026-11-23`, `2026-11`, or NO_WINDOW."""
    if kind.endswith("-day"):
        return f"{now.astimezone(UTC):%Y-%m-%d}"
    return f"{now.astimezone(UTC):%Y-%m}" if kind.endswith("-month") else NO_WINDOW


def resets_of(kind: Kind, now: datetime) -> datetime | None:
    """When the window of `now` ends, and the next one begins; None where there is but one."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if kind.endswith("-day"):
        return midnight + timedelta(days=1)
    return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1) if kind.endswith("-month") else None


def token_of(who: str) -> str:
    """What stands for a name in subjects and keys; names are arbitrary text."""
    return hashlib.sha256(who.encode(errors="surrogatepass")).hexdigest()[:32]


def name_of(who: str) -> str:
    """Under which it is counted what somebody spends: a name that is too long is cut, and stays another one than all
    that begin like it.
    """
    return who if len(who) <= LONGEST_NAME else f"{who[: LONGEST_NAME - 33]}…{token_of(who)}"


def counter(tenant: str, kind: Kind, window: str, who: str) -> str:
    """The subject under which is counted what `who` spends."""
    return budget_counter(tenant, kind, window, token_of(who))
