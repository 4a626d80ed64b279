"""A definitions file loads whole, or it says where it is broken."""

import sys
from pathlib import Path

import pytest

from trunkline.contracts.errors import BrokenFile
from trunkline.definitions import Definitions, load_definitions

HEAD = "from trunkline.agent import Agent\nfrom trunkline.tool import tool\n"


def load(tmp_path: Path, text: str, name: str = "billing.py") -> Definitions:
    file = tmp_path / name
    file.write_text(text)
    return load_definitions(file)


def broken(tmp_path: Path, text: str, name: str = "billing.py") -> BrokenFile:
    with pytest.raises(BrokenFile) as raised:
        load(tmp_path, text, name)
    assert raised.value.hint
    return raised.value


def names(definitions: Definitions) -> tuple[list[str], list[str]]:
    return [agent.name for agent in definitions.agents], [tool.name for tool in definitions.tools]


def test_agents_and_tools_are_collected(tmp_path: Path) -> None:
    found = load(
        tmp_path, HEAD + "@tool\ndef find() -> int:\n    return 1\nbilling = Agent('billing', tools=[find, 'other'])\n"
    )
    assert names(found) == (["billing"], ["find"])
    assert found.path == tmp_path / "billing.py"
    assert found.tools[0]() == 1


def test_tools_that_only_an_agent_holds_are_collected(tmp_path: Path) -> None:
    found = load(tmp_path, HEAD + "@tool\ndef find(): ...\nbilling = Agent('billing', tools=[find])\ndel find\n")
    assert names(found) == (["billing"], ["find"])


def test_two_names_for_one_tool_are_one_tool(tmp_path: Path) -> None:
    assert names(load(tmp_path, HEAD + "@tool\ndef find(): ...\nalias = find\n")) == ([], ["find"])


def test_two_tools_with_one_name_are_a_mistake(tmp_path: Path) -> None:
    error = broken(tmp_path, HEAD + "@tool\ndef find(): ...\n@tool(name='find')\ndef search(): ...\n")
    assert error.what == f"{tmp_path / 'billing.py'}:5: it declares two tools 'find'."


def test_two_agents_with_one_name_are_a_mistake(tmp_path: Path) -> None:
    assert "two agents 'a'" in broken(tmp_path, HEAD + "x = Agent('a')\ny = Agent('a')\n").what


def test_the_version_is_the_files_bytes(tmp_path: Path) -> None:
    first, again = load(tmp_path, HEAD + "x = Agent('a')\n"), load(tmp_path, HEAD + "x = Agent('a')\n")
    other = load(tmp_path, HEAD + "x = Agent('a')  # a comment\n")
    assert first.version == again.version != other.version
    assert len(first.version) == 12


def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_definitions.py").write_text("NAME = 'a'\n")
    path = list(sys.path)
    found = load(tmp_path, HEAD + "from neighbour_of_definitions import NAME\nx = Agent(NAME)\n")
    assert names(found) == (["a"], [])
    assert sys.path == path


def test_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = load(tmp_path, HEAD + "@tool\ndef who() -> int:\n    return NUMBER\nNUMBER = 1\n")
    two = load(tmp_path / "other", HEAD + "@tool\ndef who() -> int:\n    return NUMBER\nNUMBER = 2\n")
    assert (one.tools[0](), two.tools[0]()) == (1, 2)


def test_annotations_may_be_text_and_types_of_the_file(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + HEAD
    text += "@dataclass\nclass Pair:\n    a: int\n    b: int\n@tool\ndef add(pair: Pair) -> int:\n    return pair.a\n"
    add = load(tmp_path, text).tools[0]
    assert add(**add.validate({"pair": {"a": "1", "b": 2}})) == 1


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("import sys\nsys.exit(3)\n", 2, "it exits with 3 when imported"),
        ("x = 1\n\nx = (\n", 3, "SyntaxError: '(' was never closed"),
        ("def f():\n    1 / 0\nf()\n", 2, "ZeroDivisionError: division by zero"),
        ("x = 1\nimport missing_module_of_test\n", 2, "No module named 'missing_module_of_test'"),
        ("raise KeyError\n", 1, "KeyError"),
        ("x = '\0'\n", 1, "null bytes"),
        ("x = 1\n", 1, "it declares no agent and no tool"),
        ("", 1, "it declares no agent and no tool"),
        (HEAD + "x = Agent('no spaces')\n", 3, "agent 'no spaces' is not a valid name"),
        (HEAD + "@tool\ndef f(*x): ...\n", 3, "cannot be given by name"),
        (HEAD + "@tool\ndef f(x: Missing): ...\n", 4, "name 'Missing' is not defined"),
        (HEAD + "@tool\ndef f(x: 'Missing'): ...\n", 3, "f: its signature has no schema: name 'Missing'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, where: int, what: str) -> None:
    error = broken(tmp_path, text)
    assert error.what.startswith(f"{tmp_path / 'billing.py'}:{where}: ")
    assert what in error.what
    assert error.data == {"file": str(tmp_path / "billing.py"), "line": where}
    assert not [name for name in sys.modules if name.startswith("trunkline_file_") and tmp_path.name in name]


def test_a_neighbours_syntax_error_is_shown_in_the_neighbour(tmp_path: Path) -> None:
    (tmp_path / "broken_neighbour.py").write_text("\nx = (\n")
    assert broken(tmp_path, "import broken_neighbour\n").what.startswith(f"{tmp_path / 'broken_neighbour.py'}:2: ")


def test_a_broken_file_leaves_no_module_behind(tmp_path: Path) -> None:
    before = set(sys.modules)
    broken(tmp_path, "raise ValueError('x')\n")
    assert set(sys.modules) == before


@pytest.mark.parametrize("name", ["missing.py", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(BrokenFile, match="cannot be read"):
        load_definitions(tmp_path / name)


def test_a_file_that_is_not_python(tmp_path: Path) -> None:
    assert "does not end in .py" in broken(tmp_path, "hello", "notes.txt").what


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = load(Path(), HEAD + "x = Agent('a')\n")
    assert found.path.is_absolute()
    assert found.path.samefile(tmp_path / "billing.py")
