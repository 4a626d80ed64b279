"""What can be set of the ledger."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

DATABASE = "ledger.db"
DEFAULT_FOLDER = Path(".trunkline")


class Settings(BaseSettings):
    """Read from `TRUNKLINE_LEDGER_…`."""

    model_config = SettingsConfigDict(env_prefix="TRUNKLINE_LEDGER_", frozen=True)

    data: Path | None = Field(None, description="Folder for the database, when `database` is not given.")
    database: str = Field("", description="sqlite+aiosqlite:///<file> or postgresql+asyncpg://<server>/<name>.")

    def located(self, folder: Path) -> "Settings":
        """With `folder` for the database, unless another is set."""
        return self if self.data else self.model_copy(update={"data": folder})

    @property
    def url(self) -> str:
        return self.database or f"sqlite+aiosqlite:///{((self.data or DEFAULT_FOLDER) / DATABASE).absolute()}"
