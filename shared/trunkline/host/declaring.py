"""`python -m trunkline.host.declaring FILE...`: says on stdout, as one line of JSON, what the files declare.

A process of its own, without a bus and without keys: the files' code runs here.
"""

from __future__ import annotations

import os
import sys

import msgspec

from trunkline.contracts.errors import BrokenFile
from trunkline.contracts.messages import Failure
from trunkline.definitions import load_definitions
from trunkline.host.declarations import AgentDeclared, Declared, Said


def main() -> None:
    report = os.dup(1)
    os.dup2(2, 1)  # what the files print is not our report
    try:
        said = Said(files=tuple(_declared(path) for path in sys.argv[1:]))
    except BrokenFile as error:
        said = Said(error=Failure.of(error))
    with os.fdopen(report, "wb") as line:
        line.write(msgspec.json.encode(said))


def _declared(path: str) -> Declared:
    found = load_definitions(path)
    agents = tuple(AgentDeclared(agent.name, agent.description, agent.examples) for agent in found.agents)
    return Declared(path, agents, tuple(tool.name for tool in found.tools))


if __name__ == "__main__":
    main()
