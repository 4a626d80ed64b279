"""The command line. One command, one file; what needs a bus or a service imports it when it runs."""

from trunkline.cli.main import main

__all__ = ["main"]
