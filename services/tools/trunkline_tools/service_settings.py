"""What the tool service is told."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from trunkline.service import ServiceSettings


class ToolsSettings(ServiceSettings):
    """Environment variables begin with TRUNKLINE_."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_", populate_by_name=True, extra="ignore")

    tool_files: list[Path] = Field(
        default_factory=list, description="Files that declare tools; JSON in the environment."
    )
    builtin: bool = Field(True, description="Whether the platform's own tools are offered here.")
    mcp: bool = Field(True, description="Whether the MCP servers of the settings file are offered here.")
    timers: bool = Field(True, description="Whether sleeping runs are woken from here.")
    tool_slots: int = Field(16, gt=0, description="Calls at a time, per tool.")
    ack_wait: float = Field(10.0, ge=1, description="Seconds without a heartbeat until another executor takes over.")
    approval_wait: float = Field(3600.0, gt=0, description="Seconds that a person has to approve a call.")
    tool_beat: float = Field(2.0, gt=0, description="Seconds between heartbeats in the registry.")
