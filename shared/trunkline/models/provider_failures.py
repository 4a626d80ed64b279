"""Whatever an SDK raises on what a provider sends, as one ModelFailed."""

import math
from collections.abc import Mapping

from pydantic_ai import exceptions as wire

from trunkline.contracts.errors import ModelFailed
from trunkline.models.failures import cut_short, failed
from trunkline.models.tiers import Endpoint

_TRANSIENT = {408, 409, 425, 429}
_NOT_SENT = {"pool", "connect"}
_SHOWN = 300


def translated(error: Exception, model: str, endpoint: Endpoint) -> ModelFailed:
    """The provider's own words are shown as far as it gave any, without the key."""
    status = error.status_code if isinstance(error, wire.ModelHTTPError) else None
    said = _without(endpoint.key.get_secret_value(), _words(error))
    if isinstance(error, wire.ModelAPIError):
        what, hint, final = _of_request(error, status, endpoint)
        return failed(
            f"{model} {what}{said}",
            hint,
            retryable=not final and _passes(error, status),
            spent=_spent(error, status),
            status=status,
            retry_after=_retry_after(error),
        )
    if isinstance(error, wire.UserError):
        hint = "Correct the agent or its tools."
        return failed(f"{model} cannot take this request{said}", hint, retryable=False, spent=False)
    if isinstance(error, OSError) or type(error).__module__.startswith("httpx"):
        return cut_short(model)
    return failed(f"{model} sent a reply that cannot be understood{said}", "Try again.", retryable=True)


def _of_request(error: wire.ModelAPIError, status: int | None, endpoint: Endpoint) -> tuple[str, str, bool]:
    """What happened, what to do, and whether asking again is pointless."""
    where = endpoint.base_url or "the provider"
    key = endpoint.key_variable or "the key"
    match error:
        case wire.ModelRateLimitError():
            return "is over its rate limit", _after(_retry_after(error)), False
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


def _passes(error: wire.ModelAPIError, status: int | None) -> bool:
    transient = status is None or status in _TRANSIENT or status >= 500
    return transient or isinstance(error, wire.ModelRateLimitError)


def _after(seconds: float | None) -> str:
    when = "later" if seconds is None else f"in {seconds:g} s"
    return f"Try again {when}, or spread the load."


def _spent(error: wire.ModelAPIError, status: int | None) -> bool:
    """A request that was refused, or never sent, costs nothing."""
    if isinstance(error, wire.ModelConnectionError):
        return error.phase not in _NOT_SENT
    return status is None or error.in_stream


def _retry_after(error: wire.ModelAPIError) -> float | None:
    seconds = error.retry_after
    return seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None


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
