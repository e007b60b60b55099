"""The command line: it parses and shows."""

from segdistill.cli.app import main

__all__ = ["main"]
