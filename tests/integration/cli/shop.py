"""Agents and tools of a small shop, as a team would write them."""

from trunkline import Agent, Run, tool

PAID = {1042: 4990, 1043: 1250}


@tool
def find_invoice(invoice_id: int) -> dict[str, object]:
    "Look up an invoice by its number: amount and status."
    return {"invoice": invoice_id, "amount_cents": PAID.get(invoice_id, 0), "status": "paid"}


@tool(timeout=5, effect="write", idempotent=True)
def reserve_product(product: str) -> str:
    "Reserve a product of the catalog for a customer."
    return f"{product} is reserved"


billing = Agent(
    "billing",
    description="Invoices, refunds and payment methods",
    examples=["Why was I charged twice?", "What is the status of invoice 17?"],
    tools=[find_invoice],
)
catalog = Agent(
    "catalog",
    description="Products, prices and reservations",
    examples=["Reserve the lamp for me", "Do you sell chairs?"],
    tools=[reserve_product],
)
broken = Agent("broken", description="Always fails, on purpose", examples=["Fail on purpose, please"])
desk = Agent("desk", description="Passes everything on", examples=["Pass this on to the right desk"])
slow = Agent("slow", description="Sleeps for a long time", examples=["Wait until the morning"])


@broken.flow
async def fail(run: Run) -> str:
    raise RuntimeError("this flow is wrong")


@desk.flow
async def pass_on(run: Run) -> str:
    return await run.ask("billing", "What is the status of invoice 1042?")


@slow.flow
async def wait(run: Run) -> str:
    await run.sleep(3600)
    return "good morning"
