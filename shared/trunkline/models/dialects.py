"""One pydantic-ai model per provider and name. Each SDK is imported when its first model is built; none retries."""

from typing import TYPE_CHECKING

from pydantic_ai.models import Model
from pydantic_ai.profiles.openai import OpenAIModelProfile

from trunkline.contracts.errors import InvalidSettings
from trunkline.models.tiers import Endpoint

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from openai import AsyncOpenAI

_NO_KEY = "none"


def build(endpoint: Endpoint, name: str, http: "AsyncClient") -> Model:
    """`http` is the caller's to close. Raises InvalidSettings when the provider's SDK is not installed."""
    try:
        match endpoint.dialect:
            case "anthropic":
                return _anthropic(endpoint, name, http)
            case "google":
                return _google(endpoint, name, http)
            case "openai-responses":
                return _openai_responses(endpoint, name, http)
            case _:
                return _openai_chat(endpoint, name, http)
    except ImportError as error:
        raise InvalidSettings(
            f"The SDK for {endpoint.provider} is not installed: {error.name}.", "Install `trunkline[models]`."
        ) from error


def _openai_chat(endpoint: Endpoint, name: str, http: "AsyncClient") -> Model:
    from pydantic_ai.models.ollama import OllamaModel
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.ollama import OllamaProvider
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    client = _openai_client(endpoint, http)
    whole = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
    if endpoint.dialect == "ollama":
        return OllamaModel(name, provider=OllamaProvider(openai_client=client), profile=whole)
    if endpoint.dialect == "openai":
        return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client), profile=whole)
    provider = OpenAICompatibleProvider(endpoint.provider, openai_client=client)
    return OpenAIChatModel(name, provider=provider, profile=whole)


def _openai_responses(endpoint: Endpoint, name: str, http: "AsyncClient") -> Model:
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return OpenAIResponsesModel(name, provider=OpenAIProvider(openai_client=_openai_client(endpoint, http)))


def _openai_client(endpoint: Endpoint, http: "AsyncClient") -> "AsyncOpenAI":
    from openai import AsyncOpenAI

    key = endpoint.key.get_secret_value() or _NO_KEY
    return AsyncOpenAI(api_key=key, base_url=endpoint.base_url or None, http_client=http, max_retries=0)


def _anthropic(endpoint: Endpoint, name: str, http: "AsyncClient") -> Model:
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(
        api_key=endpoint.key.get_secret_value(), base_url=endpoint.base_url or None, http_client=http, max_retries=0
    )
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))


def _google(endpoint: Endpoint, name: str, http: "AsyncClient") -> Model:
    from google.genai.types import HttpRetryOptions
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    provider = GoogleProvider(
        api_key=endpoint.key.get_secret_value(),
        base_url=endpoint.base_url or None,
        http_client=http,
        retry_options=HttpRetryOptions(attempts=1),
    )
    return GoogleModel(name, provider=provider)
