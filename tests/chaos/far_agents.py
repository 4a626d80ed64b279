"""The metered agents' service behind a wire, when it is told so."""

from __future__ import annotations

import os

from tests import netns
from tests.chaos import metered_agents
from trunkline_agents import __main__, app

NAMESPACE = "CHAOS_NAMESPACE"

if __name__ == "__main__":
    if namespace := os.environ[NAMESPACE]:
        netns.enter(namespace)
    setattr(app, "open_models", metered_agents.open_metered)  # noqa: B010  # the same port, put in its place
    __main__.main()
