"""What the demonstration asks, and how it knows that the answer is right, whichever model words it."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.client import Answered


@dataclass(frozen=True, slots=True)
class DemoQuestion:
    """`shows` is what it is there for; the answer holds each of `expected`, or is the refusal `refused`."""

    shows: str
    text: str
    expected: tuple[str, ...] = ()
    agent: str = ""
    refused: str = ""

    def right(self, answered: Answered) -> bool:
        if answered.error or self.refused:
            return answered.error is not None and answered.error.code == self.refused
        said = answered.text.casefold()
        return all(part in said for part in self.expected)


QUESTIONS = (
    DemoQuestion("routed by its meaning, answered with a tool", "What is the price of the oak table?", ("890",)),
    DemoQuestion("another agent", "What is the status of invoice 1042?", ("paid",)),
    DemoQuestion(
        "a tool with an effect: recorded before it begins, never run twice",
        "Refund 90 euros of invoice 1042",
        ("90", "refund"),
    ),
    DemoQuestion(
        "one agent asks two others",
        "I want to complain: how far is order 7002, and is invoice 1043 paid?",
        ("packed", "open"),
    ),
    DemoQuestion("fits none of them: the generalist takes it", "What time is it in Tokyo?", ("tokyo",)),
    DemoQuestion("refused, and told why", "May I sue my neighbour?", agent="legal", refused="unknown_agent"),
)
