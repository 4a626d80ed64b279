"""The one error tree.

TrunklineError
├── CallerMistake        what was asked for cannot work; asking again changes nothing
│   ├── InvalidName          a tenant, conversation, agent or tool name that cannot be a subject token
│   ├── InvalidQuestion      an empty or over-long question
│   ├── UnknownAgent         nobody registered under that name
│   ├── UnknownTool          no such tool, or not on this agent's list
│   ├── InvalidArguments     arguments that the tool's schema refuses
│   ├── InvalidSettings      configuration that cannot be used: a bad file, an unknown provider, a missing key
│   ├── UnknownPrice         what a model call costs is in no price table
│   ├── BrokenFile           an agent or tool file that does not load
│   ├── Divergence           changed code asks for something else than what is on the log
│   ├── AlreadyEnded         the run has its answer, which stays as it is
│   └── NotFound             no such run, or nothing recorded yet
├── WireViolation        bytes or subjects that break the contract
│   ├── BadSubject
│   └── BadMessage
├── TryAgain             it may work later: the same call may be repeated
│   ├── BusUnavailable       no server, no JetStream, no streams, or no acknowledgement in time
│   ├── ModelFailed          the provider refused, failed or did not answer in time
│   │   ├── CircuitOpen          it failed too often, and is not asked for a while
│   │   └── OverBudget           a limit does not allow what the call may cost
│   ├── ToolFailed           the tool raised, hung, flooded its output or left
│   └── DeadlinePassed       a wait reached its end
├── RunFailed            the platform answered, and the answer is a recorded failure
├── Cancelled            the run is to stop
└── Closing              this process is stopping, or somebody else is ahead
    └── Superseded           another worker's facts are on the log; drop everything
"""


class TrunklineError(Exception):
    """What happened, and what to do about it. `hint` is written for the person who reads it."""

    code = "error"

    def __init__(self, what: str, hint: str = "", **data: object) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.data = data

    def __str__(self) -> str:
        return f"{self.what} {self.hint}".strip()


class CallerMistake(TrunklineError):
    code = "caller_mistake"


class InvalidName(CallerMistake, ValueError):
    code = "invalid_name"


class InvalidQuestion(CallerMistake, ValueError):
    code = "invalid_question"


class UnknownAgent(CallerMistake):
    code = "unknown_agent"


class UnknownTool(CallerMistake):
    code = "unknown_tool"


class InvalidArguments(CallerMistake, ValueError):
    code = "invalid_arguments"


class InvalidSettings(CallerMistake, ValueError):
    code = "invalid_settings"


class UnknownPrice(CallerMistake, LookupError):
    code = "unknown_price"


class BrokenFile(CallerMistake):
    code = "broken_file"


class Divergence(CallerMistake):
    code = "divergence"


class AlreadyEnded(CallerMistake):
    code = "already_ended"


class NotFound(CallerMistake, LookupError):
    code = "not_found"


class WireViolation(TrunklineError, ValueError):
    code = "wire_violation"


class BadSubject(WireViolation):
    code = "bad_subject"


class BadMessage(WireViolation):
    code = "bad_message"


class TryAgain(TrunklineError):
    code = "try_again"


class BusUnavailable(TryAgain, ConnectionError):
    code = "bus_unavailable"


class ModelFailed(TryAgain):
    code = "model_failed"


class CircuitOpen(ModelFailed):
    code = "circuit_open"


class OverBudget(ModelFailed):
    """`data` says which limit, how much of it is left, and when it begins anew."""

    code = "over_budget"


class ToolFailed(TryAgain):
    code = "tool_failed"


class DeadlinePassed(TryAgain, TimeoutError):
    code = "deadline_passed"


class RunFailed(TrunklineError):
    code = "run_failed"


class Cancelled(TrunklineError):
    code = "cancelled"


class Closing(TrunklineError):
    code = "closing"


class Superseded(Closing):
    code = "superseded"


def by_code(code: str, what: str, hint: str = "") -> TrunklineError:
    """The error that another process raised; one of a kind that this version does not know is a TryAgain."""
    kinds = [TrunklineError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    known = {kind.code: kind for kind in kinds if kind is not TrunklineError}
    return known.get(code, TryAgain)(what, hint)
