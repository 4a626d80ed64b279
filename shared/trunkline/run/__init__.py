"""Durable runs: plain Python whose awaits are steps on the log."""

from .run import Run

__all__ = ["Run"]
