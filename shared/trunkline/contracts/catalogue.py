"""The subjects of the log in one table: who writes what, who reads it, and what it says."""

from dataclasses import dataclass

from trunkline.contracts import messages
from trunkline.contracts.messages import Fact
from trunkline.contracts.subjects import Kind, address


@dataclass(frozen=True, slots=True)
class Entry:
    """`name` is the subject's sixth token: a constant, or in braces what stands there."""

    kind: Kind
    name: str
    fact: type[Fact]
    written_by: str
    read_by: str
    says: str

    @property
    def address(self) -> str:
        return address(self.kind, self.name)


CATALOGUE = (
    Entry("request", "router", messages.Request, "client", "router", "a user asks"),
    Entry("task", "{agent}", messages.Task, "router, or an agent that delegates", "agent worker", "do this"),
    Entry("prompt", "{agent}", messages.Prompt, "agent worker", "fold, ledger", "a model call is about to be paid"),
    Entry("model", "{agent}", messages.Model, "agent worker", "fold, ledger", "the model call came back"),
    Entry("call", "{tool}", messages.Call, "agent worker", "executor", "run this tool with these arguments"),
    Entry("started", "{tool}", messages.Started, "executor", "fold, ledger", "a tool with effects is about to run"),
    Entry("approval", "{tool}", messages.Approval, "executor", "people", "a person must decide"),
    Entry("decision", "{tool}", messages.Decision, "approver", "executor", "approved or denied, by whom"),
    Entry("result", "{agent}", messages.Result, "executor", "agent worker", "what a call came to"),
    Entry("answer", "client", messages.Answer, "agent worker, router", "client", "the end of a run: one per run"),
    Entry("cancel", "all", messages.Cancel, "client, router", "router, agent worker, executor", "stop this run"),
    Entry("note", "{service}", messages.Note, "any service", "ledger", "something worth knowing"),
    Entry("feedback", "ledger", messages.Feedback, "client", "ledger, router", "the user's verdict on an answer"),
)
