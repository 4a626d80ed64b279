"""What only one place may know; who may import whom is import-linter's to say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = tuple(sorted([*(ROOT / "shared").rglob("*.py"), *(ROOT / "services").rglob("*.py")]))
BUS = ROOT / "shared/trunkline/bus"
CONTRACTS = ROOT / "shared/trunkline/contracts"
SUBJECTS = CONTRACTS / "subjects.py"

RAW_JETSTREAM = re.compile(r"\$JS\b|\$KV\b|\$O\.|\bSTREAM\.|\bCONSUMER\.|\bnats\.js\b|\.jetstream\(|\.api\(")
SUBJECT = re.compile(r"(trunk|live|ops|timer|health|query)\.([a-z*>{]\S*)?$")


def raw_jetstream(source: str) -> list[str]:
    """Lines that name a part of JetStream's API."""
    return [line.strip() for line in source.splitlines() if RAW_JETSTREAM.search(line)]


def spelt_subjects(source: str) -> list[str]:
    """Texts in code, as opposed to docstrings, that begin like a subject; a placeholder counts as its braces."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [text for node, text in _texts(tree) if id(node) not in prose and SUBJECT.match(text)]


def _texts(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node, node.value
        elif isinstance(node, ast.JoinedStr):
            yield node, "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def structs(source: str) -> list[str]:
    """Message classes: those whose first base is a msgspec.Struct or a Fact."""
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef) and node.bases]
    return [node.name for node in classes if ast.unparse(node.bases[0]) in ("msgspec.Struct", "Struct", "Fact")]


@pytest.mark.parametrize(
    "line",
    [
        'await bus.api(f"STREAM.INFO.{name}")',
        'publish("$JS.API.CONSUMER.DELETE.A.b")',
        'f"$KV.{bucket}.{key}"',
        "client.jetstream()",
        "import nats.js.errors",
    ],
)
def test_raw_jetstream_would_be_noticed(line: str) -> None:
    assert raw_jetstream(line)


@pytest.mark.parametrize(
    "line",
    [
        'x = f"trunk.{tenant}.{conversation}.>"',
        "x = 'live.{tenant}.{run}'",
        'x = "ops.dead." + service',
        'x = "trunk." + tenant',
        'subscribe(f"health.{service}")',
        'subscribe("timer.due.>")',
    ],
)
def test_a_spelt_subject_would_be_noticed(line: str) -> None:
    assert spelt_subjects(line)


@pytest.mark.parametrize("line", ['"""trunk.> is the log."""', 'x = "live. Text follows"', 'x = f"{a}.trunk.b"'])
def test_prose_is_no_subject(line: str) -> None:
    assert not spelt_subjects(line)


def test_only_the_bus_knows_the_api_of_jetstream() -> None:
    found = {path.relative_to(ROOT): raw_jetstream(path.read_text()) for path in SOURCES if BUS not in path.parents}
    assert {path: lines for path, lines in found.items() if lines} == {}
    assert any(raw_jetstream(path.read_text()) for path in BUS.rglob("*.py"))


def test_only_one_module_spells_subjects() -> None:
    found = {path.relative_to(ROOT): spelt_subjects(path.read_text()) for path in SOURCES if path != SUBJECTS}
    assert {path: texts for path, texts in found.items() if texts} == {}
    assert len(spelt_subjects(SUBJECTS.read_text())) > 10


def test_a_contract_is_declared_once() -> None:
    """A second declaration of the same message would drift away from the first."""
    contracts = {name for path in CONTRACTS.glob("*.py") for name in structs(path.read_text())}
    others = {path.relative_to(ROOT): structs(path.read_text()) for path in SOURCES if path.parent != CONTRACTS}
    assert {path: twice for path, found in others.items() if (twice := contracts.intersection(found))} == {}
    assert {"Health", "Request", "AgentCard"} <= contracts
