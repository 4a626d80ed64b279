"""The `[mcp.<name>]` tables of `trunkline.toml`: whose tools are offered here."""

import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trunkline.contracts.errors import InvalidSettings
from trunkline.contracts.registry import Effect
from trunkline.tool import checked_retries

DEFAULT_FILE = Path("trunkline.toml")


class McpServer(BaseModel):
    """One MCP server: a `command` to run and speak to over its standard streams, or the `url` of one that runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: tuple[str, ...] = ()
    url: str = Field("", pattern=r"^(https?://.+)?$")
    env: dict[str, str] = Field(default_factory=dict, description="On top of the clean environment of a command.")
    allow: tuple[str, ...] | None = Field(
        None, description="The tools that are offered, by the server's names; else all."
    )
    effect: Effect = Field("write", description="Of all its tools; a server's own word on that is not trusted.")
    idempotent: bool = Field(False, description="Whether running a call twice, with one call id, does no harm.")
    approve: bool = Field(False, description="Whether a person decides before each call.")
    timeout: float = Field(30.0, gt=0, description="Seconds in total for one try.")
    retries: int | None = Field(None, description="How often to try again; else 2, or 0 where that could do harm.")

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("give either command or url")
        if self.env and self.url:
            raise ValueError("env is for a command, not for a url")
        return self

    @model_validator(mode="after")
    def _retries_do_no_harm(self) -> Self:
        _ = self.tries_again  # an InvalidSettings is a ValueError
        return self

    @property
    def tries_again(self) -> int:
        return checked_retries("retries", self.retries, again=self.effect == "read" or self.idempotent)


class _McpTables(BaseModel):
    mcp: dict[str, McpServer] = Field(default_factory=dict)


def mcp_servers(file: Path | None) -> dict[str, McpServer]:
    """The servers of a settings file; without one, those of `trunkline.toml` if it exists. Raises InvalidSettings."""
    path = file or DEFAULT_FILE
    if file is None and not path.exists():
        return {}
    try:
        return _McpTables.model_validate(tomllib.loads(path.read_text())).mcp
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidSettings(f"{path} cannot be read: {error}.", "It must be a TOML file.") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors(include_url=False)
        )
        raise InvalidSettings(f"{path}: {problems}.", 'Write [mcp.<name>] and command = ["…"] or url = "…".') from None
