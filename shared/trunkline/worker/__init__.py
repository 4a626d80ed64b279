"""Running agents: a worker takes an agent's messages off the log and moves its runs forward by one turn each."""

from trunkline.worker.worker import WorkerSettings, working

__all__ = ["WorkerSettings", "working"]
