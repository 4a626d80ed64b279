"""Imports each distribution in an environment that has only its declared dependencies, at the lock's versions.

The shared development environment has everything, and so hides a dependency that nobody declared. Two looks at each:
every import statement must resolve, those inside functions too; and the entry module must load.
"""

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")
UNRESOLVED = "import sys; from importlib.util import find_spec; print(*(n for n in sys.argv[1:] if not find_spec(n)))"


@dataclass(frozen=True)
class Target:
    """What to install, the folder whose import statements must resolve, and the module that must load."""

    requirement: str
    folder: str | None
    entry: str


TARGETS = (
    Target(".", None, "trunkline.cli"),  # without extras the command line must load,
    Target(".[models,service]", "shared/trunkline", "trunkline"),  # with them everything must resolve
    *(
        Target(f"services/{name}", f"services/{name}/trunkline_{name}", f"trunkline_{name}.__main__")
        for name in ("agents", "ledger", "router", "tools")
    ),
)


class Imports(ast.NodeVisitor):
    """The top-level names that a file imports, each with its first line, but for types-only and guarded imports."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.lines.setdefault(alias.name.partition(".")[0], node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module and not node.level:
            self.lines.setdefault(node.module.partition(".")[0], node.lineno)

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" not in ast.unparse(node.test):
            self.generic_visit(node)

    def visit_Try(self, node: ast.Try) -> None:
        caught = " ".join(ast.unparse(handler.type) for handler in node.handlers if handler.type)
        if "ImportError" not in caught and "ModuleNotFoundError" not in caught:
            self.generic_visit(node)


def imported_names(folder: Path) -> dict[str, str]:
    """Returns each top-level name that the folder imports from outside the standard library, with its first place."""
    places: dict[str, str] = {}
    for file in sorted(folder.rglob("*.py")):
        imports = Imports()
        imports.visit(ast.parse(file.read_text(encoding="utf-8")))
        for name, line in imports.lines.items():
            if name not in sys.stdlib_module_names:
                places.setdefault(name, f"{file.relative_to(ROOT)}:{line}")
    return places


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)


def install(target: Target, environment: Path) -> str:
    """Makes the environment; returns what uv complained about, if anything."""
    created = run(UV, "venv", "--quiet", "--python", sys.executable, environment)
    if created.returncode:
        return created.stderr
    command = (
        *(UV, "pip", "install", "--quiet", "--python", environment / "bin/python"),
        *("--constraints", "requirements.lock", "--editable", ".", "--editable", target.requirement),
    )
    installed = run(*command, "--offline")  # setting up .venv has left all that is needed in uv's cache
    if installed.returncode:
        installed = run(*command)
    return installed.stderr if installed.returncode else ""


def undeclared(target: Target, python: Path) -> Iterator[str]:
    """Yields a sentence for each import statement that does not resolve."""
    if target.folder is None:
        return
    places = imported_names(ROOT / target.folder)
    for name in run(python, "-I", "-c", UNRESOLVED, *places).stdout.split():
        distribution = packages_distributions().get(name, [name])[0]
        declared_in = (ROOT / target.requirement.partition("[")[0] / "pyproject.toml").relative_to(ROOT)
        yield f"{places[name]} imports `{name}`: declare {distribution!r} in {declared_in}, or do without it"


def problems(target: Target, workspace: Path) -> list[str]:
    """Returns what is wrong with one target, in sentences."""
    environment = workspace / target.entry
    if complaint := install(target, environment):
        return [f"cannot be installed:\n{complaint}"]
    python = environment / "bin/python"
    found = list(undeclared(target, python))
    loaded = run(python, "-I", "-c", f"import {target.entry}")
    if loaded.returncode:
        found.append(f"`import {target.entry}` fails with the declared dependencies only:\n{loaded.stderr}")
    return found


def main() -> int:
    failed = False
    with tempfile.TemporaryDirectory(prefix="trunkline-isolated-") as folder, ThreadPoolExecutor() as pool:
        for target, found in zip(TARGETS, pool.map(lambda each: problems(each, Path(folder)), TARGETS), strict=True):
            print(f"{target.entry} from {target.requirement}, isolated: {'FAILED' if found else 'ok'}")
            for problem in found:
                print(f"  {problem}")
            failed = failed or bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
