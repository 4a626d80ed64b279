"""Durable runs: plain Python whose awaits are steps on the log."""

from trunkline.run.run import Run

__all__ = ["Run"]
