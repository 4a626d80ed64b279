"""What every service is told."""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_URL = "nats://127.0.0.1:4222"


class ServiceSettings(BaseSettings):
    """Environment variables begin with TRUNKLINE_; the bus is NATS_URL, as everywhere in the NATS world."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_", populate_by_name=True, extra="ignore")

    nats_url: str = Field(DEFAULT_URL, validation_alias=AliasChoices("NATS_URL", "TRUNKLINE_NATS_URL"))
    data: Path = Field(Path(".trunkline"), description="The folder for what services keep.")
    config: Path | None = Field(None, description="The platform's settings file; else trunkline.toml, if there is one.")
    bus_wait: float = Field(30.0, gt=0, description="Seconds that a starting service waits for the bus.")
    drain: float = Field(20.0, ge=0, description="Seconds that work under way may take once the service is to stop.")
    http: str = Field("", description="host:port on which /live, /ready and /asyncapi are served; none when empty.")
    log_format: Literal["auto", "json", "text"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
