"""The verb that comes first: a folder of your own becomes recipes."""

from pathlib import Path
from typing import Annotated

import typer

from segdistill.cli.console import say

_MOST = 2  # things to settle that are told; `check` tells all


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of the images and masks, as they lie.")],
    out: Annotated[Path, typer.Option(help="Where the recipes go.")] = Path("."),
    force: Annotated[bool, typer.Option("--force", help="Replace recipes that are there.")] = False,
) -> None:
    """Look at a folder of images and masks; write the recipes of student, teacher and distillation for it."""
    from segdistill.experiment import init as begin

    begun = begin(folder, out, force=force)
    for about, text in begun.found.items():
        say(f"{about}: {text}")
    for text in begun.open[:_MOST]:
        say(f"to settle: {text}")
    if len(begun.open) > _MOST:
        say(f"to settle: {len(begun.open) - _MOST} more things, which the first command tells")
    say(f"wrote: {', '.join(map(str, begun.files))}. Look at the comments: proposals are guesses.")
    say("next:")
    for command in begun.commands:
        say(f"  {command}")
