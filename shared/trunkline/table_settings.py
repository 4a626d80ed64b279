"""Settings that stand in a table of the settings file; a variable of the environment wins."""

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class TableSettings(BaseSettings):
    """Give it the table's keys; set `env_prefix`. Raises pydantic's ValidationError."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the file."""
        return env_settings, init_settings
