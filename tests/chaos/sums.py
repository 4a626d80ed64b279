"""Two agents whose answers can be checked."""

from trunkline import Agent, tool


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


adder = Agent("adder", description="Adds numbers", examples=["Add 1 and 2", "Add 30 and 12"], tools=[add])
doubler = Agent("doubler", description="Doubles a number", examples=["Double 7", "Double 21"], tools=[double])
