"""A PostgreSQL server of the tests' own: a temporary folder, a free port, loopback only."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from trunkline.host.server import free_port

SECONDS = 60


@contextmanager
def postgres_server() -> Iterator[str]:
    """The address of its one database. As root it runs as `nobody`, for PostgreSQL refuses root."""
    programs, port, user = _programs(), free_port(), "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="trunkline-postgres-"))  # pytest's folders let nobody but root through
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    try:
        _run([programs / "initdb", "-D", data, "-U", "trunkline", "--auth=trust", "--encoding=UTF8"], user)
        _run([programs / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start"], user)
        try:
            yield f"postgresql+asyncpg://trunkline@127.0.0.1:{port}/postgres"
        finally:
            _run([programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Where initdb and pg_ctl are; Debian keeps them out of PATH."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not versions:
        pytest.fail("PostgreSQL is not installed; `make test` sees to it, or says what to run.")
    return versions[-1]


def _run(command: Sequence[str | Path], user: str | None) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        user=user,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if "start" not in command else subprocess.DEVNULL,
        stderr=subprocess.STDOUT if "start" not in command else subprocess.DEVNULL,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]}: {(done.stdout or b'').decode(errors='replace')}"
