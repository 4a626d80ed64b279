"""What the command line is told by its environment."""

from pathlib import Path

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from trunkline.contracts.errors import InvalidSettings
from trunkline.contracts.ids import DEFAULT_TENANT


class CliSettings(BaseSettings):
    """Environment variables begin with TRUNKLINE_; the bus is NATS_URL, as everywhere in the NATS world."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_", populate_by_name=True, extra="ignore")

    nats_url: str = Field("nats://127.0.0.1:4222", validation_alias=AliasChoices("NATS_URL", "TRUNKLINE_NATS_URL"))
    tenant: str = DEFAULT_TENANT
    config: Path | None = Field(None, description="The platform's settings file; else trunkline.toml, if there is one.")
    user: str = Field("", description="Who asks, when --user does not say it.")
    bus_patience: float = Field(2.0, gt=0, description="Seconds within which the bus must answer.")
    debug: bool = Field(False, description="Errors end with their traceback.")

    @classmethod
    def load(cls) -> "CliSettings":
        """Raises InvalidSettings."""
        try:
            return cls()
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise InvalidSettings(f"The environment cannot be used: {wrong}.", "Correct or unset it.") from error
