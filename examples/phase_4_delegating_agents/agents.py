"""Phase 4: many agents. The router picks one; it may ask others."""

from typing import Literal

from trunkline import Agent, tool

Product = Literal["oak table", "desk lamp", "bookshelf"]

INVOICES = {1042: {"euros": 890.0, "status": "paid"}, 1043: {"euros": 59.9, "status": "open"}}
ORDERS = {7001: {"status": "shipped", "parcel": "P-88"}, 7002: {"status": "being packed", "parcel": "none yet"}}
PRICES = {"oak table": 890.0, "desk lamp": 59.9, "bookshelf": 240.0}
STOCK = {"oak table": 3, "desk lamp": 41, "bookshelf": 0}
PARCELS = {"P-88": {"place": "Hamburg", "arrives": "tomorrow"}}


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
def find_order(order_id: int) -> dict[str, object]:
    "Look up an order by its number: its status, and the parcel it left in."
    return {"order": order_id, **ORDERS[order_id]}


@tool
def price_of(product: Product) -> str:
    "Price of a product, what it costs."
    return f"the {product} costs {PRICES[product]:.2f} euros"


@tool
def stock_of(product: Product) -> str:
    "How many pieces of a product are in stock."
    return f"{STOCK[product]} pieces of {product} are in stock"


@tool
def track_parcel(parcel_id: str) -> dict[str, str]:
    "Track a parcel: where it is, and when it arrives."
    return {"parcel": parcel_id, **PARCELS[parcel_id]}


billing = Agent(
    "billing",
    description="Invoices, payments and refunds",
    examples=["What is the status of invoice 1042?", "Is invoice 17 paid?", "Refund 10 euros of invoice 1042"],
    instructions="Answer questions about invoices in one sentence. Refund only what the customer asks for.",
    tools=[find_invoice, refund_invoice],
)
orders = Agent(
    "orders",
    description="Orders and how far they are",
    examples=["How far is order 7002?", "Has order 7001 been shipped?"],
    instructions="Answer questions about orders in one sentence.",
    tools=[find_order],
)
catalog = Agent(
    "catalog",
    description="Products, their prices and the stock",
    examples=["What does the oak table cost?", "Is the desk lamp in stock?", "Do you sell a bookshelf?"],
    instructions="Answer questions about products in one sentence.",
    tools=[price_of, stock_of],
)
shipping = Agent(
    "shipping",
    description="Parcels, delivery and tracking",
    examples=["Where is parcel P-88?", "When does my parcel arrive?"],
    instructions="Answer questions about parcels in one sentence.",
    tools=[track_parcel],
)
complaints = Agent(
    "complaints",
    description="Complaints, when several things went wrong at once",
    examples=[
        "I want to complain about order 12 and its invoice",
        "I want to complain: how far is my order?",
        "I want to complain: the parcel is late, and is the invoice right?",
    ],
    instructions="Find out what went wrong by asking the other agents, then sum it up kindly.",
    delegates=["billing", "orders", "shipping"],
)
