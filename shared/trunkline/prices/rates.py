"""The prices of one model, in whole picodollars a token: a product of integers is exact, and so is any sum of them."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.contracts.dialog import Usage


@dataclass(frozen=True, slots=True)
class Rate:
    """Picodollars a token. `steps`, rising: a price for all tokens of a call with more input tokens than the number
    before it.
    """

    base: int
    steps: tuple[tuple[int, int], ...] = ()

    def at(self, input_tokens: int) -> int:
        for start, price in reversed(self.steps):
            if input_tokens > start:
                return price
        return self.base

    def most(self, input_tokens: int) -> int:
        """The dearest for a call with so many input tokens or fewer."""
        return max(self.base, *(price for start, price in self.steps if input_tokens > start), 0)


@dataclass(frozen=True, slots=True)
class Rates:
    """What a model charges. Without a rate of its own, cached input costs what input does. `call`: picodollars for each
    call, whatever it uses.
    """

    input: Rate | None
    output: Rate | None
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    call: int = 0

    @property
    def free(self) -> bool:
        rates = (self.input, self.output, self.cache_read, self.cache_write)
        return self.call == 0 and all(rate is None or rate == NOTHING for rate in rates)

    def cost(self, usage: Usage) -> int | None:
        """Picodollars of one call; None when something was used that has no price."""
        tokens = usage.input_tokens
        if (tokens and self.input is None) or (usage.output_tokens and self.output is None):
            return None
        plain = self.input or NOTHING
        read, write = self.cache_read or plain, self.cache_write or plain
        return (
            self.call
            + plain.at(tokens) * (tokens - usage.cache_read_tokens - usage.cache_write_tokens)
            + read.at(tokens) * usage.cache_read_tokens
            + write.at(tokens) * usage.cache_write_tokens
            + (self.output or NOTHING).at(tokens) * usage.output_tokens
        )

    def most(self, input_tokens: int, output_tokens: int) -> int | None:
        """Picodollars that no call costs more than which uses no more than that, however much of it is cached."""
        if self.input is None or self.output is None:
            return None
        inputs = [rate.most(input_tokens) for rate in (self.input, self.cache_read, self.cache_write) if rate]
        return self.call + max(inputs) * input_tokens + self.output.most(input_tokens) * output_tokens


NOTHING = Rate(0)
FREE = Rates(NOTHING, NOTHING)
