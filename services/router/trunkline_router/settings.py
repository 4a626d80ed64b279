"""What the router is told."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from trunkline.service import ServiceSettings


class RouterSettings(ServiceSettings):
    """Environment variables begin with TRUNKLINE_ROUTER_, or TRUNKLINE_ for what all services share."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_", populate_by_name=True, extra="ignore")

    router_max_question: int = Field(32_000, gt=0, description="Characters of the longest question that is let in.")
    router_confident: float = Field(0.30, ge=0, le=1, description="Below this the generalist gets the question.")
    router_slots: int = Field(64, gt=0, description="Requests at a time.")
