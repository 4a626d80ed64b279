"""`trunkline spend` and `trunkline budget`, on a platform whose models cost something."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import pytest

from tests.conftest import wait_until
from tests.integration.cli.conftest import SHOP, Trunkline
from tests.integration.ledger.by_hand import WAYS, Bill, bill
from tests.platform import Platform
from trunkline.bus import Bus, append
from trunkline.contracts.ids import ConversationId, new_run_id
from trunkline.contracts.messages import Answer, Failure, Note
from trunkline.contracts.savings import saving
from trunkline.contracts.subjects import ROUTER, RunKey
from trunkline.prices import Money

PRICES = """
[prices."offline:small"]
input_per_million = "1500.000001"
output_per_million = 6000
[budgets]
run = "500"
conversation = "500"
user_day = "500"
tenant_day = "1000"
"""
ODD_NAME = "o\x1b[31mdd\nname"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The shop, with models that cost a few dollars a call; some have asked already."""
    folder = tmp_path_factory.mktemp("platform")
    config = folder / "trunkline.toml"
    config.write_text(PRICES)
    made = Platform(folder, SHOP, env={"TRUNKLINE_CONFIG": str(config)})
    try:
        asyncio.run(made.start())
        ask = Trunkline(made.env)
        invoice = "What is the status of invoice 1042?"
        assert ask("ask", invoice, "--agent", "billing", "--user", "anna").code == 0
        assert ask("ask", "Pass this on, please", "--agent", "desk", "--user", "bob").code == 0
        assert ask("ask", "Reserve the lamp for me", "--agent", "catalog").code == 0
        assert ask("ask", "Do you sell chairs?", "--agent", "catalog", "--user", ODD_NAME).code == 0
        yield made
    finally:
        asyncio.run(made.stop())


moment = datetime.fromisoformat


@dataclass(frozen=True)
class Message:
    subject: str
    sequence: int
    at: datetime
    data: bytes


def the_bill(trunkline: Trunkline) -> Bill:
    """Added up by hand, from what stands on the log."""
    events = trunkline("events", "--limit", "0", "--json").json
    return bill(
        Message(each["subject"], each["sequence"], moment(each["at"]), json.dumps(each["body"]).encode())
        for each in events
    )


@pytest.mark.timeout(240)  # a process for each way to add up
def test_spend_adds_up_to_what_stands_on_the_log_by_whatever(trunkline: Trunkline) -> None:
    own = the_bill(trunkline)
    assert own.total > 0
    assert own.by["user"].keys() == {"anna", "bob", "", ODD_NAME}
    assert own.by["tool"]["find_invoice"] > 0
    for way in WAYS:
        found = trunkline("spend", "--by", way, "--json").json
        assert {each["key"]: Money.parse(each["spent"]["cost"]).pico for each in found["spenders"]} == own.by[way]
        assert found["total"]["cost"] == found["today"]["cost"] == str(Money(own.total))


async def test_what_the_budgets_counted_is_what_was_spent(trunkline: Trunkline) -> None:
    """A settlement comes a moment after its call."""
    own = the_bill(trunkline)

    def counters() -> dict[tuple[str, str], str]:
        found = trunkline("budget", "show", "--json").json["budgets"]
        return {(each["kind"], each["who"]): each["spent"] for each in found}

    await wait_until(lambda: counters()["tenant-day", "main"] == str(Money(own.total)), "all is settled")
    found = counters()
    assert found["user-day", "anna"] == str(Money(own.by["user"]["anna"]))
    assert found["user-day", "anonymous"] == str(Money(own.by["user"][""]))
    assert found["user-day", ODD_NAME] == str(Money(own.by["user"][ODD_NAME]))


def test_spend_shows_today_the_table_and_no_control_characters(trunkline: Trunkline) -> None:
    shown = trunkline("spend", "--by", "user").out
    assert shown.startswith("today")
    assert "of $1,000.00" in shown
    assert "anonymous" in shown
    assert "\x1b" not in shown
    assert "o\N{REPLACEMENT CHARACTER}[31mdd name" in shown
    assert "altogether" in shown
    assert "No model was asked" in trunkline("spend", "--until", "2020-01-02", "--since", "2020-01-01").out
    assert "1 other" in trunkline("spend", "--by", "agent", "--limit", "1").out


def test_a_span_of_time_that_cannot_be_is_refused(trunkline: Trunkline) -> None:
    assert trunkline("spend", "--since", "yesterday").code == 2
    assert "is not after" in trunkline("spend", "--since", "1h", "--until", "2h").err
    assert trunkline("spend", "--by", "moon").code == 2


def test_a_limit_is_set_topped_up_and_lifted(trunkline: Trunkline) -> None:
    found = trunkline("budget", "set", "user-day", "12.5", "--for", "zoe", "--json").json
    assert (found["in_force"]["limit"], found["in_force"]["who"], found["in_force"]["spent"]) == ("12.5", "zoe", "0")
    assert moment(found["since"]).tzinfo
    topped = trunkline("budget", "top-up", "user-day", "2.50", "--for", "zoe", "--json", TRUNKLINE_USER="boss").json
    assert (topped["in_force"]["limit"], topped["in_force"]["topped_up_by"]) == ("15", ["boss"])
    shown = trunkline("budget", "show", "--for", "zoe").out
    assert "$0 of $15.00" in shown
    assert "topped up by $2.50 (boss)" in shown
    assert "tenant-day" not in shown
    assert "no limit" in trunkline("budget", "set", "user-day", "none", "--for", "zoe").out
    assert trunkline("budget", "show", "--for", "zoe", "--json").json["budgets"][0]["limit"] is None
    assert "Nothing was spent for yan" in trunkline("budget", "show", "--for", "yan").out


def test_a_limit_for_all_is_shown_with_who_set_it(trunkline: Trunkline) -> None:
    found = trunkline("budget", "set", "agent-day", "700", "--json", TRUNKLINE_USER="boss").json
    assert found["in_force"] == {"kind": "agent-day", "who": "", "limit": "700"}
    assert "$700.00 each" in (shown := trunkline("budget", "show", "--kind", "agent-day").out)
    assert "set by boss on" in shown
    rules = {each["kind"]: each for each in trunkline("budget", "show", "--json").json["rules"]}
    assert (rules["agent-day"]["limit"], rules["agent-day"]["by"]) == ("700", "boss")
    assert (rules["run"]["limit"], rules["run"]["at"]) == ("500", None)


def test_the_beginning_of_a_runs_id_will_do_and_a_delegated_run_has_the_budget_of_its_root(
    trunkline: Trunkline,
) -> None:
    child = trunkline("runs", "--agent", "billing", "--children", "--user", "bob", "--json").json[0]
    assert child["parent"]
    for run, limit in ((child["parent"][:18], "501"), (child["run"][:18], "502")):
        found = trunkline("budget", "top-up", "run", "1", "--for", run, "--json").json["in_force"]
        assert (found["who"], found["limit"]) == (child["parent"], limit)
    ended = trunkline("budget", "top-up", "run", "1", "--for", "nothing-like-it")
    assert (ended.code, ended.out) == (2, "")
    assert "No run 'nothing-like-it'" in ended.err


def test_an_empty_name_is_not_everybody(trunkline: Trunkline) -> None:
    """As it comes from a variable that is not set."""
    for words in (("set", "user-day", "0"), ("top-up", "user-day", "1"), ("show",)):
        ended = trunkline("budget", *words, "--for", "")
        assert (ended.code, ended.out) == (2, "")
        assert "leave it out" in ended.err
    rules = {each["kind"]: each for each in trunkline("budget", "show", "--json").json["rules"]}
    assert rules["user-day"]["limit"] == "500"


def test_an_amount_or_a_kind_that_cannot_be_is_refused(trunkline: Trunkline) -> None:
    before = trunkline("budget", "show", "--json").json["rules"]
    for words, said in (
        ("set user-day -5", "negative"),
        ("set user-day 1e3", "no amount"),
        ("set user-day 1000000.01", "more than anybody spends"),
        ("set usr-day 5", "Did you mean `user-day`?"),
        ("set tenant-day 5 --for anna", "whole tenant's"),
        ("top-up user-day 5", "--for NAME"),
        ("top-up tenant-day none", "budget set KIND none"),
        ("top-up tenant-day 0", "not a top-up"),
        ("show --kind moon", "There are: run, "),
    ):
        ended = trunkline("budget", *words.split())
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err
    assert trunkline("budget", "set", "run", "five", "--json").json["error"]["code"] == "invalid_arguments"
    assert trunkline("budget", "show", "--json").json["rules"] == before


def test_a_run_that_is_over_budget_says_which_and_what_to_do(trunkline: Trunkline) -> None:
    assert trunkline("budget", "set", "user-day", "0", "--for", "eve").code == 0
    run = new_run_id()
    ended = trunkline("ask", "Where is my lamp?", "--agent", "catalog", "--user", "eve", "--run", run)
    assert ended.code == 1
    assert "trunkline budget top-up user-day" in ended.err
    shown = trunkline("show", run).out
    assert "failed, agent catalog, over budget" in shown
    assert "over budget: budget of user eve for today, $0 of $0 left" in shown
    assert "over budget" in trunkline("runs", "--user", "eve").out
    spenders = trunkline("spend", "--by", "user", "--json").json["spenders"]
    assert {each["key"]: each["spent"]["cost"] for each in spenders}.get("eve", "0") == "0"


async def test_an_answer_that_was_given_before_costs_nothing_and_says_what_it_saved(
    trunkline: Trunkline, platform: Platform
) -> None:
    run = await told(
        platform,
        ("answer.client.0", Answer(agent="billing", text="It is paid.", source="cache", cost="0")),
        (f"note.{ROUTER}.saved", saving("answer_cache", cost="0.5", of="earlier")),
    )
    listed = next(each for each in trunkline("runs", "--json").json if each["run"] == run)
    assert (listed["agent"], listed["source"], listed["total"]["cost"]) == ("billing", "cache", "0")
    assert listed["total"]["saved"] == "0.5"
    line = next(line for line in trunkline("runs").out.splitlines() if run[:18] in line)
    assert "answered, given before" in line
    shown = trunkline("show", run).out
    assert "answered by billing, given before" in shown
    assert "$0.5000 saved · answer given before · of run earlier" in shown
    levers = {each["lever"]: each for each in trunkline("spend", "--by", "lever", "--json").json["levers"]}
    assert (levers["answer_cache"]["times"], levers["answer_cache"]["saved"]) == (1, "0.5")
    assert "answer given before" in trunkline("totals").out


async def test_savings_of_which_the_price_of_some_is_not_known_say_so(trunkline: Trunkline, platform: Platform) -> None:
    for cost in ("0.25", ""):
        await told(
            platform,
            ("answer.client.0", Answer(agent="billing", text="It is paid.")),
            ("note.billing.saving-results", saving("results", cost=cost, tokens=1000)),
        )
    found = trunkline("spend", "--by", "lever", "--json").json["levers"]
    (results,) = [each for each in found if each["lever"] == "results"]
    assert (results["saved"], results["unknown"], results["times"]) == ("0.25", 1, 2)
    shown = trunkline("spend", "--by", "lever").out
    assert "> $0.2500 shorter tool results (2×)" in shown
    (line,) = [line for line in shown.splitlines() if "100 %" in line or line.lstrip().startswith("> $0.25")]
    assert "shorter tool results" in line
    assert f"Without 1 of {sum(each['times'] for each in found)} savings, whose price nobody knows" in shown


async def test_what_limits_did_is_told_in_words(trunkline: Trunkline, platform: Platform) -> None:
    limit = {"kind": "user-day", "who": "anna", "limit": "10", "resets": "2026-11-24T00:00:00+00:00"}
    run = await told(
        platform,
        ("answer.client.0", Answer(agent="billing", error=Failure(code="failed", message="No."))),
        ("note.billing.budget-1", Note(what="budget_warning", data={**limit, "spent": "8.5"})),
        ("note.billing.cheaper-1-1", Note(what="cheaper", data={**limit, "left": "0.5", "model": "offline:small"})),
        ("note.billing.unused-1-1", Note(what="unused", data={"model": "offline:small", "cost": "0.25"})),
    )
    shown = trunkline("show", run).out
    assert "$8.50 of $10.00 spent or held back: budget of user anna for today, anew at 2026-11-24 00:00 UTC" in shown
    assert "offline:small asked instead: budget of user anna for today has $0.5000 left" in shown
    assert "$0.2500 · offline:small: another attempt's reply was there first" in shown
    assert "cheaper model" in shown.splitlines()[0]
    said = trunkline("events", "--run", run, "--kind", "note").out
    assert "budget_warning: $8.50 of $10.00 spent or held back" in said


async def told(platform: Platform, *facts: tuple[str, Answer | Note]) -> str:
    """A run that says this, and that the router has nothing to do with."""
    key = RunKey("main", ConversationId("c-made-up"), new_run_id())
    async with Bus.open(platform.url, name="test") as bus:
        for where, fact in facts:
            kind, name, step = where.split(".")
            await append(bus, key.step(kind, name, step), fact)  # type: ignore[arg-type]  # a kind
    return str(key.run)
