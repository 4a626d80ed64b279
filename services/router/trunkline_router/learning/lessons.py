"""What people's feedback and the checks of answers teach the router. Pure: a fold of the log, no I/O, no clock.

A verdict counts when it is of the user who asked, or of an operator; of several by one user on one question the newest.

| the newest verdict of a user says | which is a vote |
|---|---|
| another agent should have answered | for that agent |
| good, of a question that the classifier gave to its agent | for that agent |
| bad | against the agent that answered |
| neutral | of nobody any more |

A question is an example of the agent with the most votes, when more are for it than against it and no other has as
many. Operators' votes, where there are any, are the only ones. One user's votes for one agent count `MOST_OF_ONE_USER`
times, the newest; an example that one user alone vouches for is `hearsay`: the classifier learns it, but the same words
are not taken for known. So nobody alone turns a route round.

Of the questions that went to the small tier are learnt: hard, when the check did not pass or the answer was called bad;
easy, when it passed or was called good. A correction says nothing of that.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trunkline.contracts.messages import Feedback
from trunkline_router.classifiers.known import normalised

MOST_RUNS = 2_000
"""Whose verdicts are kept; the newest."""
MOST_OF_ONE_USER = 3
MOST_CHECKS_OF_ONE_USER = 20
"""For one agent: so few cannot make the small tier look bad for everybody's questions."""
MOST_EXAMPLES = 200
"""For one agent; the newest."""
MOST_OUTCOMES = 300
"""For one agent; the newest."""
LONGEST_EXAMPLE = 1_000
"""Characters. The encoder reads about as many."""
NOT_BY_WORDS = frozenset({"conversation", "greeting", "several"})
"""Sources of a route that depends on more than the question's words: it is no example for anybody."""
NOT_BY_CLASSIFIER = frozenset({"only_agent", "asked_for", "direct", "delegated", "fallback", "cache"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A run: who asked what, who answered, and why that agent. `tier` is empty where the agent's models are fixed."""

    question: str
    user: str
    agent: str = ""
    source: str = ""
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a question was too hard for the small tier."""

    question: str
    hard: bool


@dataclass(frozen=True, slots=True)
class Taught:
    """What the lessons come to, by agent. `hearsay`: the normalised examples that one user alone vouches for."""

    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hearsay: frozenset[str] = frozenset()
    outcomes: Mapping[str, tuple[Outcome, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class _Told:
    """What is known of a run. `verdicts` are the newest, by user, with their sequences."""

    asked: Asked
    at: datetime
    verdicts: dict[str, tuple[int, Feedback]] = field(default_factory=dict)
    passed: tuple[int, bool] | None = None


@dataclass(frozen=True, slots=True)
class _Vote:
    sequence: int
    user: str
    text: str
    towards: str
    against: str


class Lessons:
    """Give it what the log says, in its order. `operators` are users whose verdict counts for any question; lessons
    that are older than `days` before the newest one are forgotten.
    """

    def __init__(self, *, operators: Collection[str] = (), days: float = 30.0) -> None:
        self._operators = frozenset(operators)
        self._age = timedelta(days=days)
        self._runs: OrderedDict[str, _Told] = OrderedDict()

    def feedback(self, run: str, asked: Asked, sequence: int, at: datetime, said: Feedback) -> None:
        told = self._told(run, asked, at)
        before = told.verdicts.get(said.by)
        if before is None or before[0] < sequence:
            told.verdicts[said.by] = (sequence, said)

    def checked(self, run: str, asked: Asked, sequence: int, at: datetime, *, passed: bool) -> None:
        """An answer of the small tier passed its check, or did not."""
        self._told(run, asked, at).passed = (sequence, passed)

    def taught(self, *, before: datetime | None = None) -> Taught:
        """What all lessons come to, or those of runs of which nothing was said since `before`."""
        if before:
            earlier = Lessons(operators=self._operators)
            earlier._runs = OrderedDict((run, told) for run, told in self._runs.items() if told.at < before)
            return earlier.taught()
        examples: dict[str, list[tuple[int, str]]] = defaultdict(list)
        hearsay = set()
        for question, votes in self._ballots().items():
            agent = _elected(votes)
            if not agent:
                continue
            newest = max((vote for vote in votes if vote.towards == agent), key=lambda vote: vote.sequence)
            examples[agent].append((newest.sequence, newest.text))
            users = {vote.user for vote in votes if vote.towards == agent}
            if len(users) == 1 and not users & self._operators:
                hearsay.add(question)
        kept = {agent: tuple(text for _, text in sorted(found)[-MOST_EXAMPLES:]) for agent, found in examples.items()}
        return Taught(kept, frozenset(hearsay), self._outcomes())

    def _told(self, run: str, asked: Asked, at: datetime) -> _Told:
        told = self._runs.setdefault(run, _Told(asked, at))
        told.at = max(told.at, at)
        self._runs.move_to_end(run)
        oldest = next(iter(self._runs))
        while len(self._runs) > MOST_RUNS or self._runs[oldest].at < at - self._age:
            del self._runs[oldest]
            oldest = next(iter(self._runs))
        return told

    def _counted(self) -> Iterator[tuple[_Told, int, str, Feedback]]:
        """The verdicts that count: of who asked, and of operators."""
        for told in self._runs.values():
            for user, (sequence, said) in told.verdicts.items():
                if user == told.asked.user or user in self._operators:
                    yield told, sequence, user, said

    def _ballots(self) -> dict[str, list[_Vote]]:
        """By normalised question: a vote of each user, the newest; of ordinary users not too many for one agent."""
        newest: dict[tuple[str, str], _Vote] = {}
        for told, sequence, user, said in self._counted():
            question = normalised(told.asked.question)
            vote = _vote(told.asked, sequence, user, said)
            if vote and question and newest.get((question, user), vote).sequence <= sequence:
                newest[question, user] = vote
        ballots: dict[str, list[_Vote]] = defaultdict(list)
        given: Counter[tuple[str, str]] = Counter()
        for (question, user), vote in sorted(newest.items(), key=lambda item: -item[1].sequence):
            given[user, vote.towards] += bool(vote.towards)
            if user in self._operators or given[user, vote.towards] <= MOST_OF_ONE_USER:
                ballots[question].append(vote)
        for question, votes in ballots.items():
            ballots[question] = [vote for vote in votes if vote.user in self._operators] or votes
        return ballots

    def _outcomes(self) -> dict[str, tuple[Outcome, ...]]:
        found: dict[str, list[tuple[int, Outcome]]] = defaultdict(list)
        given: Counter[tuple[str, str]] = Counter()
        checks = [
            (*told.passed, told.asked) for told in self._runs.values() if told.passed and told.asked.tier == "small"
        ]
        for sequence, passed, asked in sorted(checks, key=lambda each: -each[0]):
            given[asked.user, asked.agent] += 1
            if asked.user in self._operators or given[asked.user, asked.agent] <= MOST_CHECKS_OF_ONE_USER:
                found[asked.agent].append((sequence, Outcome(asked.question, not passed)))
        given.clear()
        for told, sequence, user, said in sorted(self._counted(), key=lambda each: -each[1]):
            if told.asked.tier != "small" or (told.passed and not told.passed[1]) or not said.verdict:
                continue
            agent = told.asked.agent
            given[user, agent] += 1
            if said.agent in ("", agent) and (user in self._operators or given[user, agent] <= MOST_OF_ONE_USER):
                found[agent].append((sequence, Outcome(told.asked.question, said.verdict < 0)))
        ordered = {agent: sorted(each, key=lambda item: item[0]) for agent, each in found.items()}
        return {agent: tuple(outcome for _, outcome in each[-MOST_OUTCOMES:]) for agent, each in ordered.items()}


def _vote(asked: Asked, sequence: int, user: str, said: Feedback) -> _Vote | None:
    """None when a verdict says nothing of who should answer these words."""
    if asked.source in NOT_BY_WORDS or len(asked.question) > LONGEST_EXAMPLE:
        return None
    if said.agent and said.agent != asked.agent:
        return _Vote(sequence, user, asked.question, said.agent, "")
    if said.verdict < 0:
        return _Vote(sequence, user, asked.question, "", asked.agent)
    if said.verdict > 0 and asked.source not in NOT_BY_CLASSIFIER:
        return _Vote(sequence, user, asked.question, asked.agent, "")
    return _Vote(sequence, user, asked.question, "", "")


def _elected(votes: list[_Vote]) -> str:
    """The agent with the most votes; nobody in a draw, and nobody against whom as many are."""
    count: Counter[str] = Counter()
    for vote in votes:
        count[vote.towards] += 1
        count[vote.against] -= 1
    del count[""]
    ranked = count.most_common(2)
    if not ranked or ranked[0][1] <= 0 or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return ""
    return ranked[0][0]
