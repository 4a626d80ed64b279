"""The bank's desk that bench/cost runs: who answers what, in which words each agent is instructed, and their one tool.

The categories are those of BANKING77. Whoever brings other questions gets agents by the same rule for what is unknown:
all of it to the desk named `other`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

from trunkline import Agent, tool
from trunkline.agent import Check

DESKS: dict[str, tuple[str, ...]] = {
    "cards": (
        "activate_my_card",
        "apple_pay_or_google_pay",
        "card_about_to_expire",
        "card_acceptance",
        "card_arrival",
        "card_delivery_estimate",
        "card_linking",
        "card_not_working",
        "contactless_not_working",
        "disposable_card_limits",
        "get_disposable_virtual_card",
        "get_physical_card",
        "getting_spare_card",
        "getting_virtual_card",
        "order_physical_card",
        "supported_cards_and_currencies",
        "virtual_card_not_working",
        "visa_or_mastercard",
    ),
    "safety": (
        "card_swallowed",
        "change_pin",
        "compromised_card",
        "lost_or_stolen_card",
        "lost_or_stolen_phone",
        "passcode_forgotten",
        "pin_blocked",
    ),
    "payments": (
        "Refund_not_showing_up",
        "card_payment_fee_charged",
        "card_payment_not_recognised",
        "declined_card_payment",
        "direct_debit_payment_not_recognised",
        "extra_charge_on_statement",
        "pending_card_payment",
        "request_refund",
        "reverted_card_payment?",
        "transaction_charged_twice",
    ),
    "transfers": (
        "balance_not_updated_after_bank_transfer",
        "beneficiary_not_allowed",
        "cancel_transfer",
        "declined_transfer",
        "failed_transfer",
        "pending_transfer",
        "receiving_money",
        "transfer_fee_charged",
        "transfer_into_account",
        "transfer_not_received_by_recipient",
        "transfer_timing",
    ),
    "top_ups": (
        "automatic_top_up",
        "pending_top_up",
        "top_up_by_bank_transfer_charge",
        "top_up_by_card_charge",
        "top_up_by_cash_or_cheque",
        "top_up_failed",
        "top_up_limits",
        "top_up_reverted",
        "topping_up_by_card",
        "verify_top_up",
    ),
    "cash": (
        "atm_support",
        "balance_not_updated_after_cheque_or_cash_deposit",
        "cash_withdrawal_charge",
        "cash_withdrawal_not_recognised",
        "declined_cash_withdrawal",
        "pending_cash_withdrawal",
        "wrong_amount_of_cash_received",
        "wrong_exchange_rate_for_cash_withdrawal",
    ),
    "exchange": (
        "card_payment_wrong_exchange_rate",
        "exchange_charge",
        "exchange_rate",
        "exchange_via_app",
        "fiat_currency_support",
    ),
    "identity": (
        "age_limit",
        "country_support",
        "edit_personal_details",
        "terminate_account",
        "unable_to_verify_identity",
        "verify_my_identity",
        "verify_source_of_funds",
        "why_verify_identity",
    ),
}
OTHER, RECEPTION = "other", "reception"
DESK_OF = {intent: desk for desk, intents in DESKS.items() for intent in intents}
ABOUT = {
    "cards": "Cards: ordering, delivery, activation, virtual and disposable cards, where and how they work",
    "safety": "Lost, stolen or swallowed cards and phones, fraud, PIN and passcode",
    "payments": "Card payments and direct debits: declined, pending, reverted, unknown or charged twice; refunds",
    "transfers": "Bank transfers to and from the account: timing, fees, failed, pending or missing ones",
    "top_ups": "Topping up the account: by card, transfer, cash or cheque; limits, fees, failures",
    "cash": "Cash machines: withdrawals, their fees, wrong amounts, deposits of cash and cheques",
    "exchange": "Currencies: exchange in the app, rates, charges for it",
    "identity": "Who the customer is: verification, personal details, age and country, closing the account",
    OTHER: "Everything else",
    RECEPTION: "Whatever no desk is there for",
}
PERSONAL = frozenset(
    {
        "Refund_not_showing_up",
        "balance_not_updated_after_bank_transfer",
        "balance_not_updated_after_cheque_or_cash_deposit",
        "card_payment_not_recognised",
        "cash_withdrawal_not_recognised",
        "declined_card_payment",
        "declined_cash_withdrawal",
        "declined_transfer",
        "direct_debit_payment_not_recognised",
        "extra_charge_on_statement",
        "failed_transfer",
        "pending_card_payment",
        "pending_cash_withdrawal",
        "pending_top_up",
        "pending_transfer",
        "reverted_card_payment?",
        "top_up_failed",
        "top_up_reverted",
        "transaction_charged_twice",
        "transfer_not_received_by_recipient",
        "wrong_amount_of_cash_received",
    }
)
"""What nobody answers without a look into the customer's own account: one tool call, and never from the cache."""
MOVEMENTS = 25
EXAMPLES = 4
"""Of each intent, for the router."""
HISTORY_TOKENS = 2_000
REUSE_SECONDS = 24 * 3600.0


@tool
def movements(days: int) -> list[dict[str, Any]]:
    "The customer's last account movements: date, amount, counterparty, state."
    return [
        {
            "date": f"2026-{1 + number % 12:02}-{1 + number % 28:02}",
            "amount": f"{(number * 977) % 40_000 / 100:.2f}",
            "currency": "EUR",
            "counterparty": f"Merchant {number * 31 % 97}",
            "state": ("completed", "pending", "reverted")[number % 3],
            "reference": f"TX{number * 7919 % 1_000_003:07}",
        }
        for number in range(min(days, MOVEMENTS))
    ]


def desk_of(intent: str) -> str:
    return DESK_OF.get(intent, OTHER)


def desks(intents: Collection[str]) -> dict[str, list[str]]:
    """The intents of each desk that has any."""
    found: dict[str, list[str]] = defaultdict(list)
    for intent in sorted(intents):
        found[desk_of(intent)].append(intent)
    return dict(found)


def agents(
    train: Mapping[str, Sequence[str]], model: str, check: Check | Literal["model"] | None, *, alike: bool
) -> list[Agent]:
    """A desk for each group of intents, and a reception for what fits none. `train`: questions by intent, which are the
    router's examples.
    """
    found = [
        _desk(desk, {intent: train[intent] for intent in intents}, model, check, alike=alike)
        for desk, intents in desks(train).items()
    ]
    reception = Agent(
        RECEPTION,
        description=ABOUT[RECEPTION],
        instructions=_instructions(
            RECEPTION, (f"{matter(intent)}: say the rule in short." for intent in sorted(train))
        ),
        model=model,
        generalist=True,
        check=check,
        reuse="shared",
        reuse_seconds=REUSE_SECONDS,
        history_tokens=HISTORY_TOKENS,
    )
    return [*found, reception]


def _desk(
    desk: str, train: Mapping[str, Sequence[str]], model: str, check: Check | Literal["model"] | None, *, alike: bool
) -> Agent:
    return Agent(
        desk,
        description=ABOUT[desk],
        examples=[text for texts in train.values() for text in texts],
        instructions=_instructions(desk, (_in_detail(intent, texts) for intent, texts in train.items())),
        model=model,
        tools=[movements] if PERSONAL.intersection(train) else [],
        reuse="shared",
        reuse_seconds=REUSE_SECONDS,
        alike=alike,
        check=check,
        history_tokens=HISTORY_TOKENS,
    )


def matter(intent: str) -> str:
    return intent.replace("_", " ")


def _instructions(desk: str, matters: Iterable[str]) -> str:
    """What a support team writes: who one is, what one must never do, and something on each matter."""
    return (
        f"You answer customers of a bank at the desk {desk}. {ABOUT[desk]}. Be brief, friendly and exact; answer in "
        "the customer's language. Never ask for a PIN, a passcode or a full card number. Name the matter in square "
        "brackets first.\n" + "\n".join(matters)
    )


def _in_detail(intent: str, examples: Sequence[str]) -> str:
    return (
        f"{matter(intent)}: customers say for instance “{examples[0].strip()}” or “{examples[-1].strip()}”. "
        + ("Look at their movements first. " if intent in PERSONAL else "")
        + "Say what the rule is, how long it takes, what it costs, where in the app it is found, and what to do when "
        "it does not help. Do not promise a date. If it is urgent, say how to reach a person."
    )
