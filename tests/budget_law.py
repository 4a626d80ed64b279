"""Law 9 as a checker: what the log says was spent, or may have been, is within every limit, wherever the log ends."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from trunkline.budget import charged
from trunkline.contracts.codec import Event
from trunkline.contracts.messages import Prompt
from trunkline.contracts.subjects import RunKey, Subject
from trunkline.prices import Money


def overspent(events: Sequence[Event], limits: Mapping[str, Money], book: Book | None = None) -> list[str]:
    """Each prefix of the log by which more was charged to a limit than it allows. `limits` are by counter; what is not
    there is not limited. `book`, an empty one, knows all of it then.
    """
    book, found = book or Book(), []
    for event in events:
        book.take(event)
        for counter, amount in limits.items():
            if book.spent[counter] > amount.pico:
                found.append(f"{event.sequence}: {counter} stands at {Money(book.spent[counter])} of {amount}")
    return found


class Book:
    """What the log says so far: `spent` by counter, in picodollars, with what is reserved where no cost is known; and
    what each call `counts`, by its prompt's subject.
    """

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._runs: dict[RunKey, list[Event]] = defaultdict(list)
        self._prompts: dict[RunKey, dict[Subject, Prompt]] = defaultdict(dict)
        self.counts: dict[str, int] = {}

    def take(self, event: Event) -> None:
        key = RunKey.of(event.subject)
        self._runs[key].append(event)
        if isinstance(event.fact, Prompt) and event.fact.limits:
            self._prompts[key][event.subject] = event.fact
        for call, prompt in self._prompts[key].items():
            reserved = Money.parse(prompt.reserved)
            known = charged(call, self._runs[key], reserved)
            counts = reserved.pico if known is None else known.pico
            for counter in prompt.limits:
                self.spent[counter] += counts - self.counts.get(str(call), 0)
            self.counts[str(call)] = counts


def of_log(events: Sequence[Event]) -> Counter[str]:
    """What the whole log counts, by counter."""
    book = Book()
    for event in events:
        book.take(event)
    return book.spent
