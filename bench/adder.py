"""What the measured platform runs: one agent and one trivial tool."""

from trunkline import Agent, tool


@tool
def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b


adder = Agent("adder", description="Adds two numbers", examples=["Add 1 and 2"], instructions="Be brief.", tools=[add])
