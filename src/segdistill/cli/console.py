"""Where the command line speaks."""

import os

from rich.console import Console

SPEAKS = os.environ.get("RANK", "0") == "0"  # under torchrun one process speaks; errors come from any
out = Console(quiet=not SPEAKS)
err = Console(stderr=True)


def escape(text: str) -> str:
    """Text from outside, with nothing in it that rich would take for markup."""
    return text.replace("[", r"\[")


def say(text: str) -> None:
    """A line of plain text on standard output, never broken."""
    out.print(escape(text), highlight=False, soft_wrap=True)
