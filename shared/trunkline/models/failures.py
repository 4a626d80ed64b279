"""What goes wrong with a model whoever the provider is: ModelFailed, which says whether to try again."""

from trunkline.contracts.dialog import Usage
from trunkline.contracts.errors import ModelFailed


def timed_out(model: str, seconds: float) -> ModelFailed:
    return failed(
        f"{model} did not answer within {seconds:g} s.",
        "Try again, or raise `timeout_seconds` in [models] of trunkline.toml.",
        retryable=True,
    )


def silent(model: str, seconds: float) -> ModelFailed:
    return failed(
        f"{model} gave no sign of life for {seconds:g} s.",
        "Try again; for a model that thinks longer, raise `first_seconds` in [models] of trunkline.toml.",
        retryable=True,
    )


def stalled(model: str, seconds: float) -> ModelFailed:
    return failed(
        f"{model} began to answer and then said nothing for {seconds:g} s.",
        "Try again, or raise `stall_seconds` in [models] of trunkline.toml.",
        retryable=True,
    )


def cut_short(model: str) -> ModelFailed:
    return failed(f"{model} broke off in the middle of its reply.", "Try again.", retryable=True)


def empty(model: str, usage: Usage) -> ModelFailed:
    return failed(f"{model} replied with neither text nor a tool call.", "Try again.", retryable=True, usage=usage)


def failed(  # what a ModelFailed says, in one place
    what: str,
    hint: str,
    *,
    retryable: bool,
    spent: bool = True,
    status: int | None = None,
    retry_after: float | None = None,
    usage: Usage | None = None,
) -> ModelFailed:
    """`spent`: it may have cost something."""
    said = {"status": status, "retry_after": retry_after, "usage": usage}
    known = {name: value for name, value in said.items() if value is not None}
    return ModelFailed(what, hint, retryable=retryable, spent=spent, **known)
