"""What may be spent: limits, the counters on the bus that hold to them, and what gives back what a crash has left."""

from trunkline.budget.budgets import Budgets
from trunkline.budget.charged import GRACE_SECONDS, PAY_WITHIN, charged, cost_of
from trunkline.budget.hold import Hold, Warned
from trunkline.budget.limits import KINDS, Kind, Limit, Spender
from trunkline.budget.settings import BudgetSettings

__all__ = [
    "GRACE_SECONDS",
    "KINDS",
    "PAY_WITHIN",
    "BudgetSettings",
    "Budgets",
    "Hold",
    "Kind",
    "Limit",
    "Spender",
    "Warned",
    "charged",
    "cost_of",
]
