"""What a step asks for: hashed, so that recovery sees when changed code asks for something else; and as text, so that
both can be shown.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from trunkline.contracts.codec import canonical, input_hash
from trunkline.contracts.dialog import Message
from trunkline.contracts.messages import Head, Prompt


class Asked(Protocol):
    """What a step asks for: of a model, of a tool, of an agent. `told` is all of it, as JSON."""

    @property
    def kind(self) -> str: ...

    @property
    def hash(self) -> str: ...

    @property
    def told(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class CallInput:
    """A tool and its arguments."""

    tool: str
    arguments: dict[str, Any]
    kind = "call"

    @property
    def hash(self) -> str:
        return input_hash(self.tool, self.arguments)

    @property
    def told(self) -> dict[str, Any]:
        return {"tool": self.tool, "arguments": self.arguments}


@dataclass(frozen=True, slots=True)
class QuestionInput:
    """An agent and what it is asked."""

    agent: str
    question: str
    kind = "ask"

    @property
    def hash(self) -> str:
        return input_hash("ask", self.agent, self.question)

    @property
    def told(self) -> dict[str, Any]:
        return {"agent": self.agent, "question": self.question}


REMEMBERED = 8
"""Model steps of a flow that the next one is likely to go on from."""


@dataclass(frozen=True, slots=True)
class ModelInput:
    """All that a model is told at a step. `told_at` is the step that had been told the first `known` of the messages,
    with the same head; without such a step, they are `opening` messages that nobody else has said, and the
    conversation's first ones behind those that are `skipped`.
    """

    head: Head
    messages: tuple[Message, ...]
    hash: str
    told_at: str = ""
    known: int = 0
    opening: int = 0
    skipped: int = 0
    kind = "model"

    @property
    def told(self) -> dict[str, Any]:
        return told_to_model(self.head, self.messages)

    def prompt(self, *, model: str, attempt: int, carrier: int, delivery: int, worker: str, version: str) -> Prompt:
        return Prompt(
            model=model,
            input_hash=self.hash,
            attempt=attempt,
            carrier=carrier,
            delivery=delivery,
            worker=worker,
            version=version,
            head=None if self.told_at else self.head,
            base=self.told_at,
            opening=self.messages[: self.opening],
            skipped=self.skipped,
            history=0 if self.told_at else self.known - self.opening + self.skipped,
            said=self.messages[self.known :],
        )


def told_to_model(head: Head, messages: Sequence[Message]) -> dict[str, Any]:
    """As JSON."""
    return {
        "model": head.model,
        "instructions": head.instructions,
        "tools": list(head.tools),
        "messages": msgspec.to_builtins(list(messages)),
    }


class ModelInputs:
    """The inputs of a flow's model steps. Each is hashed from where an earlier one ends, so that a long conversation
    is not read again at every step.
    """

    def __init__(self, history: Sequence[Message]) -> None:
        self._history = tuple(history)
        self._recent: deque[tuple[str, ModelInput]] = deque(maxlen=REMEMBERED)

    def of(self, step: str, head: Head, messages: Sequence[Message]) -> ModelInput:
        """What `step` asks."""
        found = self._begun(head, tuple(messages))
        self._recent.append((step, found))
        return found

    def _begun(self, head: Head, messages: tuple[Message, ...]) -> ModelInput:
        """Gone on from the newest step that had been told the first of the messages; else told anew."""
        for step, earlier in reversed(self._recent):
            known = len(earlier.messages)
            if earlier.head == head and _begins_with(messages, earlier.messages):
                return ModelInput(head, messages, _chained(earlier.hash, messages[known:]), step, known)
        opening, skipped, known = self._remembered(messages)
        digest = _chained(_digest(b"", canonical(head)), messages)
        return ModelInput(head, messages, digest, "", known, opening, skipped)

    def _remembered(self, messages: tuple[Message, ...]) -> tuple[int, int, int]:
        """How many messages stand before the end of the conversation's history in `messages`; how many of the history
        are not there; and how many of `messages` are accounted for then. All 0 when its end is not there.
        """
        history = self._history
        if not history:
            return 0, 0, 0
        end = next((place for place in range(len(messages), 0, -1) if messages[place - 1] == history[-1]), 0)
        there = 0
        while there < min(end, len(history)) and messages[end - 1 - there] == history[-1 - there]:
            there += 1
        return (end - there, len(history) - there, end) if there else (0, 0, 0)


def _begins_with(messages: tuple[Message, ...], beginning: tuple[Message, ...]) -> bool:
    return messages[: len(beginning)] == beginning


def _chained(digest: str, messages: Sequence[Message]) -> str:
    for message in messages:
        digest = _digest(digest.encode(), canonical(message))
    return digest


def _digest(before: bytes, then: bytes) -> str:
    return hashlib.sha256(before + then).hexdigest()[:32]
