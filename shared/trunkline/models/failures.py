"""Whatever goes wrong at a provider, as one ModelFailed that says whether to try again."""

from collections.abc import Mapping

from pydantic_ai import exceptions as wire

from trunkline.contracts.errors import ModelFailed
from trunkline.models.tiers import Endpoint

_TRANSIENT = {408, 409, 425, 429}
_SHOWN = 300


def timed_out(model: str, seconds: float) -> ModelFailed:
    return _failed(
        f"{model} did not answer within {seconds:g} s.",
        "Try again, or raise `timeout_seconds` in [models] of trunkline.toml.",
        retryable=True,
    )


def cut_short(model: str) -> ModelFailed:
    return _failed(f"{model} broke off in the middle of its reply.", "Try again.", retryable=True)


def empty(model: str) -> ModelFailed:
    return _failed(f"{model} replied with neither text nor a tool call.", "Try again.", retryable=True)


def translated(error: Exception, model: str, endpoint: Endpoint) -> ModelFailed:
    """The provider's own words are shown as far as it gave any, without the key."""
    status = error.status_code if isinstance(error, wire.ModelHTTPError) else None
    said = _without(endpoint.key.get_secret_value(), _words(error))
    if isinstance(error, wire.ModelRateLimitError) or status == 429:
        return _failed(
            f"{model} is over its rate limit{said}",
            "Try again after the given time, or spread the load.",
            retryable=not isinstance(error, wire.ModelQuotaExceededError),
            status=status,
            retry_after=error.retry_after if isinstance(error, wire.ModelAPIError) else None,
        )
    if isinstance(error, wire.ModelAPIError):
        what, hint, final = _of_request(error, status, endpoint)
        retryable = not final and (status is None or status in _TRANSIENT or status >= 500)
        return _failed(f"{model} {what}{said}", hint, retryable=retryable, status=status, retry_after=error.retry_after)
    if isinstance(error, wire.UserError):
        return _failed(f"{model} cannot take this request{said}", "Correct the agent or its tools.", retryable=False)
    if isinstance(error, OSError) or type(error).__module__.startswith("httpx"):
        return cut_short(model)
    return _failed(f"{model} sent a reply that cannot be understood{said}", "Try again.", retryable=True)


def _of_request(error: wire.ModelAPIError, status: int | None, endpoint: Endpoint) -> tuple[str, str, bool]:
    """What happened, what to do, and whether asking again is pointless."""
    where = endpoint.base_url or "the provider"
    key = endpoint.key_variable or "the key"
    match error:
        case wire.ModelQuotaExceededError():
            return "has no credit left", "Top up the account, or choose another model in trunkline.toml.", True
        case wire.ModelAuthenticationError():
            return "refused the key", f"Check {key}, and that it may use this model.", True
        case wire.ModelNotFoundError():
            hint = f"Check the model's name, and the address of {endpoint.provider!r}."
            if endpoint.dialect == "ollama":
                hint = "Run `ollama pull` with the model's name, or choose another one in trunkline.toml."
            return "was not found", hint, True
        case wire.ModelContextWindowExceededError():
            return "cannot take so long a conversation", "Shorten it, or choose a model with a larger window.", True
        case wire.ModelTimeoutError() | wire.ModelConnectionError():
            return "could not be reached, or its connection broke", f"Check the network and {where}; try again.", False
        case wire.ModelRequestRejectedError():
            return "refused the request", "Correct the request; the same one will be refused again.", True
    if status is not None and status >= 500:
        return f"failed with status {status}", "Try again.", False
    return "failed", "Try again.", False


def _failed(
    what: str, hint: str, *, retryable: bool, status: int | None = None, retry_after: float | None = None
) -> ModelFailed:
    return ModelFailed(what, hint, retryable=retryable, status=status, retry_after=retry_after)


def _words(error: Exception) -> str:
    """`: <what the provider said>.`, or a full stop."""
    said = _message(error.body) if isinstance(error, wire.ModelAPIError) else ""
    if not said and not isinstance(error, wire.ModelHTTPError):
        said = str(error) or type(error).__name__
    said = " ".join(said.split())
    if len(said) > _SHOWN:
        said = f"{said[:_SHOWN]}..."
    return f": {said.rstrip('.')}." if said else "."


def _message(body: object) -> str:
    """The message inside an error body: OpenAI and Google say `error.message`, some say `message` or `detail`."""
    if isinstance(body, list) and body:
        return _message(body[0])
    if not isinstance(body, Mapping):
        return body if isinstance(body, str) else ""
    for name in ("error", "message", "detail"):
        if found := _message(body.get(name)):
            return found
    return ""


def _without(key: str, text: str) -> str:
    return text.replace(key, "***") if key else text
