"""What the service that hosts agents is told."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from trunkline.service import ServiceSettings


class AgentsSettings(ServiceSettings):
    """Environment variables begin with TRUNKLINE_."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_", populate_by_name=True, extra="ignore")

    agent_files: list[Path] = Field(
        default_factory=list, description="Files that declare agents; JSON in the environment."
    )
    generalist: bool = Field(True, description="Whether the built-in agents run here too: generalist, together.")
    agent_slots: int = Field(32, gt=0, description="Runs at a time, per agent.")
    ack_wait: float = Field(10.0, ge=1, description="Seconds without a heartbeat until another worker takes over.")
    model_cache: str = Field(
        "memory",
        pattern=r"^(memory|bus|off|rediss?://.+)$",
        description="Where replies at temperature 0 are kept: memory, bus, a redis:// address; or off.",
    )
    agent_beat: float = Field(2.0, gt=0, description="Seconds between heartbeats in the registry.")
