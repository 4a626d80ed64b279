"""`import trunkline` is cheap: it loads no SDK, no bus client, no service."""

from __future__ import annotations

import json
import subprocess
import sys

import trunkline

CPU_SECONDS = 0.3
HEAVY = {"anthropic", "faststream", "google", "mcp", "nats", "openai", "pydantic_ai", "sqlalchemy", "uvicorn"}
PROBE = """
import json, sys, time
before = time.process_time()
import trunkline
spent = time.process_time() - before
print(json.dumps([spent, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def test_importing_costs_little_and_loads_nothing_heavy() -> None:
    """The least of three: what else the processor does slows even CPU time down."""
    command = [sys.executable, "-c", PROBE]
    probes = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(3)]
    assert min(spent for spent, _ in probes) < CPU_SECONDS
    assert HEAVY.isdisjoint(probes[0][1])


def test_what_it_offers_is_sorted_and_there() -> None:
    assert trunkline.__all__ == sorted(trunkline.__all__)
    assert all(getattr(trunkline, name) is not None for name in trunkline.__all__)
