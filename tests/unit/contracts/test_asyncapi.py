"""The platform's document says what the code says."""

from __future__ import annotations

import re

import pytest

from trunkline.contracts.asyncapi import platform_document
from trunkline.contracts.catalogue import CATALOGUE, Entry
from trunkline.contracts.subjects import KINDS, RunKey, Subject


def filled(address: str) -> str:
    """The address with each parameter standing for itself."""
    return re.sub(r"{(\w+)}", r"\1", address)


def test_it_bears_the_version_that_it_is_asked_for() -> None:
    assert platform_document(version="1.2.3")["info"]["version"] == "1.2.3"


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.kind)
def test_every_address_of_the_log_is_a_subject(entry: Entry) -> None:
    subject = Subject.parse(filled(entry.address))
    assert (subject.tenant, subject.conversation, subject.run) == ("tenant", "conversation", "run")
    assert (subject.kind, subject.name, subject.step) == (entry.kind, filled(entry.name), "step")


def test_it_has_every_kind_and_live_text() -> None:
    channels = platform_document(version="1")["channels"]
    assert set(channels) == {*KINDS, "live"}
    assert filled(channels["live"]["address"]) == RunKey.checked("run", "conversation", "tenant").live


def test_edges_of_services_stand_beside_the_log() -> None:
    edge = {"channels": {"router.route": {"address": "a"}}, "components": {"schemas": {"Question": {}}}}
    document = platform_document([edge], version="1")
    assert document["channels"]["router.route"] == {"address": "a"}
    assert {"Question", "Request"} <= set(document["components"]["schemas"])
