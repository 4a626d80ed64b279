"""Phase 1: one agent with a few tools."""

from typing import Literal

from trunkline import Agent, tool

Product = Literal["oak table", "desk lamp", "bookshelf"]

PRICES = {"oak table": 890.0, "desk lamp": 59.9, "bookshelf": 240.0}
STOCK = {"oak table": 3, "desk lamp": 41, "bookshelf": 0}


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
    examples=["What does the oak table cost?", "Is the desk lamp in stock?"],
    instructions="Answer in one sentence. Use your tools; never guess a number.",
    tools=[price_of, stock_of],
)
