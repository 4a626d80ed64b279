"""A model's name, resolved: a tier of the settings, or `provider:model`; and the provider's endpoint."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from pydantic import SecretStr

from trunkline.contracts.errors import InvalidSettings
from trunkline.models.offline import MODELS as OFFLINE_MODELS
from trunkline.models.settings import ModelSettings

Dialect = Literal["openai", "openai-responses", "anthropic", "google", "ollama", "compatible"]

TIERS = ("small", "large")
OFFLINE = "offline"
_ALIASES = {"gemini": "google", "openai-chat": "openai"}
_OLLAMA_URL = "http://localhost:11434"
_DEFAULTS: dict[str, tuple[str, str]] = {
    "openai": ("openai:gpt-6-luna", "openai:gpt-6.1-sol"),
    "anthropic": ("anthropic:claude-haiku-5-5", "anthropic:claude-sonnet-5-5"),
    "google": ("google:gemini-3.5-flash-lite", "google:gemini-4-argon"),
    "ollama": ("ollama:llama3.2", "ollama:llama3.2"),
    OFFLINE: OFFLINE_MODELS,
}
_KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "openai-responses": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GEMINI_API_KEY",
}


@dataclass(frozen=True)
class Endpoint:
    """How to speak to one provider. An empty `base_url` is the SDK's own; an empty key means none is needed."""

    provider: str
    dialect: Dialect
    base_url: str
    key: SecretStr
    key_variable: str


def resolve(settings: ModelSettings, name: str) -> tuple[str, ...]:
    """`provider:model` for a model's name; for a tier its chain, each of which is asked when the ones before it fail.

    What it returns can be asked. Raises InvalidSettings.
    """
    return tuple(_resolved(settings, each) for each in (tier(settings, name) if name in TIERS else (name,)))


def _resolved(settings: ModelSettings, name: str) -> str:
    provider, colon, model = name.partition(":")
    if not colon or not model:
        near = get_close_matches(name, TIERS, n=1)
        raise InvalidSettings(
            f"There is no tier {name!r}.",
            (f"Did you mean `{near[0]}`? " if near else "")
            + f"Tiers: {', '.join(TIERS)}. Or name a model as provider:model, like `openai:gpt-6-luna`.",
        )
    provider = _ALIASES.get(provider, provider)
    if provider != OFFLINE:
        endpoint(settings, provider)
    elif f"{provider}:{model}" not in OFFLINE_MODELS:
        raise InvalidSettings(f"There is no model {name!r}.", f"Offline models: {', '.join(OFFLINE_MODELS)}.")
    return f"{provider}:{model}"


def tier(settings: ModelSettings, name: str) -> tuple[str, ...]:
    """What the settings say, else the default of the first provider that has a key, else the offline model."""
    configured = settings.small if name == "small" else settings.large
    for model in configured:
        if model in TIERS:
            raise InvalidSettings(
                f"The tier {name!r} names the tier {model!r}.", "Name a model, like `openai:gpt-6-luna`."
            )
    return configured or (_DEFAULTS[available(settings)][TIERS.index(name)],)


def available(settings: ModelSettings) -> str:
    """The first provider with a key or an address in the environment; `offline` without any."""
    if settings.openai_key.get_secret_value():
        return "openai"
    if settings.anthropic_key.get_secret_value():
        return "anthropic"
    if settings.google_key.get_secret_value():
        return "google"
    return "ollama" if settings.ollama_url else OFFLINE


def endpoint(settings: ModelSettings, provider: str) -> Endpoint:
    """Raises InvalidSettings for a provider that nobody described, or whose key is not set."""
    table = settings.providers.get(provider)
    known = _known(settings).get(provider)
    if known is None and table is None:
        names = sorted({*_known(settings), *settings.providers, OFFLINE})
        near = get_close_matches(provider, names, n=1)
        raise InvalidSettings(
            f"There is no provider {provider!r}.",
            (f"Did you mean `{near[0]}`? " if near else "")
            + f"Providers: {', '.join(names)}. Describe another one in trunkline.toml as [providers.{provider}].",
        )
    dialect, base_url, key = known or ("compatible", "", SecretStr(""))
    variable = _KEY_VARIABLES.get(provider, "")
    if table is not None and table.api_key_env:
        variable, key = table.api_key_env, settings.private_keys.get(table.api_key_env, SecretStr(""))
    base_url = (table.base_url if table else "") or base_url
    _check(provider, dialect, base_url, variable, key)
    return Endpoint(provider, dialect, base_url, key, variable)


def _known(settings: ModelSettings) -> dict[str, tuple[Dialect, str, SecretStr]]:
    return {
        "openai": ("openai", settings.openai_url, settings.openai_key),
        "openai-responses": ("openai-responses", settings.openai_url, settings.openai_key),
        "anthropic": ("anthropic", settings.anthropic_url, settings.anthropic_key),
        "google": ("google", "", settings.google_key),
        "ollama": ("ollama", ollama_url(settings.ollama_url), SecretStr("")),
    }


def _check(provider: str, dialect: Dialect, base_url: str, variable: str, key: SecretStr) -> None:
    if dialect == "compatible" and not base_url:
        raise InvalidSettings(
            f"The provider {provider!r} has no address.", f"Set `base_url` in [providers.{provider}] of trunkline.toml."
        )
    if variable and not key.get_secret_value():
        raise InvalidSettings(
            f"The provider {provider!r} has no key: the environment variable {variable} is not set.",
            f"Set {variable}, or choose another model in trunkline.toml.",
        )


def ollama_url(host: str) -> str:
    """OLLAMA_HOST as Ollama writes it (`0.0.0.0:11434`, `box`, a URL) to the address of its OpenAI interface."""
    url = (host or _OLLAMA_URL).rstrip("/")
    if "://" not in url:
        url = f"http://{url}"
    scheme, _, rest = url.partition("://")
    address, slash, path = rest.partition("/")
    if ":" not in address.rpartition("]")[2] and scheme == "http":
        address = f"{address}:11434"
    if address.startswith("0.0.0.0"):  # noqa: S104  # where it listens is not where it is reached
        address = address.replace("0.0.0.0", "127.0.0.1", 1)  # noqa: S104
    return f"{scheme}://{address}/{path if slash else 'v1'}"
