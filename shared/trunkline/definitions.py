"""A user's Python file, imported by path: the agents and tools that stand in it."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NoReturn, TypeVar

from trunkline.agent import Agent
from trunkline.contracts.errors import BrokenFile, InvalidSettings, TrunklineError
from trunkline.tool import Tool

Named = TypeVar("Named", Agent, Tool)


@dataclass(frozen=True, slots=True)
class Definitions:
    """What a file declares. `version` changes with every byte of it, and not with the files that it imports."""

    agents: tuple[Agent, ...]
    tools: tuple[Tool, ...]
    path: Path
    version: str


def load_definitions(path: str | Path) -> Definitions:
    """What the file declares, every tool with its schema. Raises BrokenFile."""
    found = collect_definitions(path)
    check_schemas(found)
    return found


def check_schemas(found: Definitions) -> None:
    """Raises BrokenFile for a tool whose signature has no schema."""
    for tool in found.tools:
        try:
            tool.parameters  # noqa: B018  # asking builds it
        except InvalidSettings as error:
            _broken(found.path, _line_of(tool), error.what.rstrip("."), error.hint, error)


def collect_definitions(path: str | Path) -> Definitions:
    """Run the file and collect its module-level agents and tools, and the tools given to agents. Raises BrokenFile.

    Builds no schema, and so does not load pydantic.
    """
    file = Path(path).absolute()
    try:
        source = file.read_bytes()
    except OSError as error:
        raise BrokenFile(
            f"{file} cannot be read: {error.strerror or error}.", "Give the path of a Python file.", file=str(file)
        ) from error
    version = _short_hash(source)
    module = _run(file, source, version)
    values = list(vars(module).values())
    agents = _unique((value for value in values if isinstance(value, Agent)), file)
    tools = _unique((value for value in _with_own_tools(values)), file)
    if not agents and not tools:
        _broken(file, 1, "it declares no agent and no tool", 'Add `Agent("name", ...)` or a function under `@tool`.')
    return Definitions(agents, tools, file, version)


def _with_own_tools(values: Iterable[object]) -> Iterator[Tool]:
    for value in values:
        if isinstance(value, Tool):
            yield value
        elif isinstance(value, Agent):
            yield from value.own_tools


def _unique(found: Iterable[Named], file: Path) -> tuple[Named, ...]:
    """One object under two names is one definition; two objects under one name are a mistake."""
    by_name: dict[str, Named] = {}
    for each in found:
        if by_name.setdefault(each.name, each) is not each:
            kind = type(each).__name__.lower()
            _broken(file, _line_of(each), f"it declares two {kind}s {each.name!r}", "Give each a name of its own.")
    return tuple(by_name.values())


def _line_of(value: Agent | Tool) -> int:
    return value.function.__code__.co_firstlineno if isinstance(value, Tool) else 1


def _short_hash(data: bytes) -> str:
    """The hash by which Python knows its source files; hashlib would load OpenSSL, which every fork then carries."""
    return importlib.util.source_hash(data).hex()[:12]


def _run(file: Path, source: bytes, version: str) -> ModuleType:
    name = f"trunkline_file_{_short_hash(bytes(file))}_{version}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        _broken(file, 1, "its name does not end in .py", "Rename the file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _beside(file):
            exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)  # noqa: S102  # what an import does
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        _explain(file, error)
    return module


@contextmanager
def _beside(file: Path) -> Iterator[None]:
    """The file may import its neighbours while it is being run."""
    folder = str(file.parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _explain(file: Path, error: BaseException) -> NoReturn:
    hint = "Run the file with `python` to see all of the error."
    if isinstance(error, SyntaxError):
        _broken(Path(error.filename or file), error.lineno or 1, f"SyntaxError: {error.msg}", hint, error)
    line = _last_line_in(file, error)
    if isinstance(error, SystemExit):
        _broken(file, line, f"it exits with {error.code!r} when imported", "Move that under `if __name__ ==`.", error)
    if isinstance(error, TrunklineError):
        _broken(file, line, error.what.rstrip("."), error.hint or hint, error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    _broken(file, line, text[:500], hint, error)


def _last_line_in(file: Path, error: BaseException) -> int:
    """The deepest line of the file itself, wherever below it the error was raised."""
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == str(file)]
    return lines[-1] if lines else 1


def _broken(file: Path, line: int, what: str, hint: str, cause: BaseException | None = None) -> NoReturn:
    raise BrokenFile(f"{file}:{line}: {what}.", hint, file=str(file), line=line) from cause
