"""The AsyncAPI 3.0 document of the whole platform: the log, live text, and every service's request/reply edges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from trunkline.contracts.catalogue import CATALOGUE, Entry
from trunkline.contracts.messages import Delta
from trunkline.contracts.subjects import LIVE_ADDRESS

Document = dict[str, Any]

_PARAMETERS = {
    "tenant": "`main` unless configured",
    "conversation": "requests that belong together",
    "run": "all that happens for one request; a UUIDv7",
    "step": "the step's name in its run; `0` where there is only one",
    "agent": "an agent's name",
    "tool": "a tool's name, `.` written as `__`",
    "service": "a service's name",
}


def platform_document(edges: Iterable[Document] = (), *, version: str) -> Document:
    """The log as the contracts have it, and the edges as FastStream describes them; `version` is the platform's."""
    facts = [entry.fact for entry in CATALOGUE]
    _, schemas = msgspec.json.schema_components([*facts, Delta], ref_template="#/components/schemas/{name}")
    document: Document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Trunkline",
            "version": version,
            "description": "Every step of every run is one message on one log. Bodies are JSON objects.",
        },
        "defaultContentType": "application/json",
        "channels": {entry.kind: _channel(entry) for entry in CATALOGUE} | {"live": _live()},
        "operations": dict(_operation(entry) for entry in CATALOGUE),
        "components": {"schemas": schemas, "messages": {entry.kind: _message(entry) for entry in CATALOGUE}},
    }
    document["components"]["messages"]["delta"] = {"payload": {"$ref": "#/components/schemas/Delta"}}
    for edge in edges:
        _merge(document, edge)
    return document


def _channel(entry: Entry) -> Document:
    names = [name for name in _PARAMETERS if f"{{{name}}}" in entry.address]
    return {
        "address": entry.address,
        "description": f"{entry.says}. Written by {entry.written_by}; read by {entry.read_by}.",
        "messages": {entry.kind: {"$ref": f"#/components/messages/{entry.kind}"}},
        "parameters": {name: {"description": _PARAMETERS[name]} for name in names},
    }


def _live() -> Document:
    return {
        "address": LIVE_ADDRESS,
        "description": "Text as it is written; core NATS, not stored.",
        "messages": {"delta": {"$ref": "#/components/messages/delta"}},
        "parameters": {name: {"description": _PARAMETERS[name]} for name in ("tenant", "conversation", "run")},
    }


def _message(entry: Entry) -> Document:
    return {"summary": entry.says, "payload": {"$ref": f"#/components/schemas/{entry.fact.__name__}"}}


def _operation(entry: Entry) -> tuple[str, Document]:
    return f"write-{entry.kind}", {
        "action": "send",
        "channel": {"$ref": f"#/channels/{entry.kind}"},
        "summary": f"{entry.written_by}: {entry.says}",
    }


def _merge(document: Document, edge: Document) -> None:
    """Channels, operations and components of a service's own document; the names in them do not collide."""
    for part in ("channels", "operations", "servers"):
        document.setdefault(part, {}).update(edge.get(part, {}))
    for part, found in edge.get("components", {}).items():
        document["components"].setdefault(part, {}).update(found)
