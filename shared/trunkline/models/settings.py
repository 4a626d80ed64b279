"""Which models there are and how to reach them: `trunkline.toml`, then the environment, which wins."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource, NoDecode, SettingsConfigDict

from trunkline.contracts.errors import InvalidSettings
from trunkline.settings_file import read_settings, refuse_unknown, table_of
from trunkline.table_settings import TableSettings


def _chain(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    if isinstance(value, list | tuple) and all(isinstance(name, str) and name for name in value):
        return tuple(value)
    raise ValueError("name a model, or several in a list")


Chain = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_chain)]
"""A model, or several, of which each is asked when the ones before it fail; with commas between them in a variable."""
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class ProviderTable(BaseModel):
    """`[providers.<name>]`: an OpenAI-compatible endpoint, or another address or key for a known provider."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = Field(default="", pattern=r"^(https?://\S+)?$")
    api_key_env: str = ""


class ModelSettings(TableSettings):
    """`[models]` and `[providers.*]` of the file, and the keys. The only reader of the environment in this package.

    `timeout_seconds` is for one call with all its tries and models, `first_seconds` for the first sign of life of one
    try, `stall_seconds` between two of them. `retries`: further tries at one model. The breaker of a provider opens
    after `breaker_failures` in a row within `breaker_window_seconds`, for `breaker_pause_seconds`.
    """

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_MODELS_", populate_by_name=True)

    small: Chain = ()
    large: Chain = ()
    timeout_seconds: Seconds = 120.0
    first_seconds: Seconds = 60.0
    stall_seconds: Seconds = 20.0
    retries: int = Field(default=2, ge=0, le=10)
    breaker_failures: int = Field(default=5, ge=1, le=1000)
    breaker_window_seconds: Seconds = 30.0
    breaker_pause_seconds: Seconds = 15.0
    providers: dict[str, ProviderTable] = Field(default_factory=dict)
    private_keys: dict[str, SecretStr] = Field(default_factory=dict, repr=False)

    openai_key: SecretStr = Field(default=SecretStr(""), validation_alias="OPENAI_API_KEY")
    anthropic_key: SecretStr = Field(default=SecretStr(""), validation_alias="ANTHROPIC_API_KEY")
    google_key: SecretStr = Field(
        default=SecretStr(""), validation_alias=AliasChoices("GEMINI_API_KEY", "GOOGLE_API_KEY")
    )
    ollama_url: str = Field(default="", validation_alias=AliasChoices("OLLAMA_HOST", "OLLAMA_BASE_URL"))
    openai_url: str = Field(default="", validation_alias="OPENAI_BASE_URL")
    anthropic_url: str = Field(default="", validation_alias="ANTHROPIC_BASE_URL")

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Reads `path`, or `trunkline.toml` here if there is one, and the environment. Raises InvalidSettings."""
        where, document = read_settings(path)
        models, providers = table_of(document, "models", where), table_of(document, "providers", where)
        refuse_unknown(models, cls._keys(), "[models]", where)
        for name, table in providers.items():
            if not isinstance(table, dict):
                raise InvalidSettings(f"{where}: providers.{name} is not a table.", f"Write [providers.{name}].")
            refuse_unknown(table, tuple(ProviderTable.model_fields), f"[providers.{name}]", where)
        keys = cls._environment(str(table.get("api_key_env", "")) for table in providers.values())
        try:
            return cls(**models, providers=providers, private_keys=keys)
        except ValidationError as error:
            raise InvalidSettings(*_said(error, where)) from None

    @classmethod
    def _keys(cls) -> tuple[str, ...]:
        """Of `[models]`."""
        elsewhere = ("providers", "private_keys")
        return tuple(
            name for name, field in cls.model_fields.items() if not field.validation_alias and name not in elsewhere
        )

    @classmethod
    def _environment(cls, names: Iterable[str]) -> dict[str, str]:
        values = EnvSettingsSource(cls, case_sensitive=True).env_vars
        return {name: value for name in names if name and (value := values.get(name))}


def _said(error: ValidationError, where: Path) -> tuple[str, str]:
    """The first complaint, without the input: it may be a key."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{where} or the environment: {place}: {first['msg']}.", "Correct the value."
