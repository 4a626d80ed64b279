"""Phase 2: the same agent with more tools; one of them has an effect."""

from typing import Literal

from trunkline import Agent, tool

Product = Literal["oak table", "desk lamp", "bookshelf"]

INVOICES = {1042: {"euros": 890.0, "status": "paid"}, 1043: {"euros": 59.9, "status": "open"}}
PRICES = {"oak table": 890.0, "desk lamp": 59.9, "bookshelf": 240.0}
STOCK = {"oak table": 3, "desk lamp": 41, "bookshelf": 0}


@tool
def find_invoice(invoice_id: int) -> dict[str, object]:
    "Look up an invoice by its number: amount in euros, and whether it is paid."
    return {"invoice": invoice_id, **INVOICES[invoice_id]}


@tool(effect="write")
def refund_invoice(invoice_id: int, euros: float) -> str:
    "Refund an amount of a paid invoice to the customer."
    invoice = INVOICES[invoice_id]
    if invoice["status"] != "paid" or euros > float(str(invoice["euros"])):
        raise ValueError(f"invoice {invoice_id} is {invoice['status']}, over {invoice['euros']} euros")
    return f"{euros:.2f} euros of invoice {invoice_id} are refunded"


@tool
def price_of(product: Product) -> str:
    "Price of a product, what it costs."
    return f"the {product} costs {PRICES[product]:.2f} euros"


@tool
def stock_of(product: Product) -> str:
    "How many pieces of a product are in stock."
    return f"{STOCK[product]} pieces of {product} are in stock"


shop = Agent(
    "shop",
    description="Everything about the shop",
    examples=["What does the oak table cost?", "Is invoice 1042 paid?", "Refund 10 euros of invoice 1042"],
    instructions="Answer in one sentence. Use your tools; refund only what the customer asks for.",
    tools=[price_of, stock_of, find_invoice, refund_invoice],
)
