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
    router_confident: float = Field(0.30, ge=0, le=1, description="Below this the generalist gets the question.")
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

    @property
    def limits(self) -> Limits:
        return Limits(self.router_run_seconds, self.router_longest_run_seconds, self.router_queue_seconds)
