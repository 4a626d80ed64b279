"""What the router is told."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from trunkline.service import ServiceSettings
from trunkline_router.deadline import Limits


class RouterSettings(ServiceSettings):
    """Environment variables begin with TRUNKLINE_ROUTER_, or TRUNKLINE_ for what all services share."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_", populate_by_name=True, extra="ignore")

    router_max_question: int = Field(32_000, gt=0, description="Characters of the longest question that is let in.")
    router_confident: float | None = Field(
        None, ge=0, le=1, description="Below this the router is not sure: a hosted model is asked, or the generalist."
    )
    router_model: str = Field(
        "", description="A tier or provider:model that is asked when the router is not sure; none when empty."
    )
    router_model_seconds: float = Field(2.0, gt=0, le=60, description="How long that may take.")
    router_hard: float = Field(0.5, ge=0, le=1, description="From here on a question is for the large tier of auto.")
    router_learn_days: float = Field(30.0, gt=0, le=3650, description="Feedback of so many days is learnt from.")
    router_operators: str = Field(
        "", description="Users, with commas between them, whose feedback counts for everybody's questions."
    )
    router_slots: int = Field(64, gt=0, description="Requests at a time.")
    router_run_seconds: float = Field(900.0, gt=0, description="How long a run may take, unless its request says.")
    router_longest_run_seconds: float = Field(7 * 24 * 3600.0, gt=0, description="The longest that a request may say.")
    router_queue_seconds: float = Field(120.0, gt=0, description="How long a run may wait until somebody begins.")
    router_order: Literal["queue", "parallel", "replace"] = Field(
        "queue", description="While an earlier question of its conversation has no answer, a new one waits, or does not"
    )
    router_conversation_limit: int = Field(20, gt=0, description="Unanswered questions of one conversation.")
    router_agent_limit: int = Field(1000, gt=0, description="Unfinished runs of one agent.")
    router_limit: int = Field(5000, gt=0, description="Unfinished runs of all agents together.")

    router_cache: str = Field(
        "memory",
        pattern=r"^(memory|bus|off|rediss?://.+)$",
        description="Where answers that may be given again are kept: memory, bus, a redis:// address; or off.",
    )
    router_cache_seconds: float = Field(24 * 3600.0, gt=0, description="How long they are kept at most.")
    router_cache_entries: int = Field(10_000, gt=0, description="Answers that are kept in memory.")
    router_cache_bytes: int = Field(64 * 1024 * 1024, gt=0, description="Bytes of the answers that are kept in memory.")
    router_alike_questions: int = Field(
        10_000, gt=0, description="Answered questions that are known by their meaning; some 1.5 kB of memory each."
    )

    @property
    def confident(self) -> float:
        """How sure the router must be to ask nobody else. See decision 0017 for what was measured."""
        return 0.5 if self.router_confident is None and self.router_model else self.confident_alone

    @property
    def confident_alone(self) -> float:
        """How sure it must be when there is nobody else to ask, or no answer from there."""
        return 0.3 if self.router_confident is None else self.router_confident

    @property
    def operators(self) -> frozenset[str]:
        return frozenset(name for part in self.router_operators.split(",") if (name := part.strip()))

    @property
    def limits(self) -> Limits:
        return Limits(self.router_run_seconds, self.router_longest_run_seconds, self.router_queue_seconds)
