"""An agent whose tools need people."""

from pathlib import Path

from trunkline import Agent, Run, tool


@tool(timeout=5, effect="write", approve=True)
def refund(invoice: int, cents: int) -> str:
    "Refund an invoice."
    return f"{cents} cents of invoice {invoice} are refunded"


@tool(timeout=1, effect="write")
def transfer(book: str, cents: int) -> str:
    "Transfer money."
    with Path(book).open("a") as lines:
        lines.write(f"{cents}\n")
    return "transferred"


refunds = Agent("refunds", description="Refunds: money back", examples=["I want my money back"], tools=[refund])


@refunds.flow
async def give_back(run: Run) -> str:
    return str(await run.call("refund", invoice=1042, cents=500))
