"""The verb that makes a data set: import."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segdistill.cli.bars import progress_bar
from segdistill.cli.console import say
from segdistill.util import quote, shorten

if TYPE_CHECKING:
    from segdistill.data import Imported

_MOST = 255
"""Classes that a network can be trained for."""


def import_(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The folder that a label tool exported, unpacked.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder of the data set; it must not exist.")],
    format_: Annotated[
        str, typer.Option("--format", help="Datumaro's name of the format, e.g. coco_instances, cvat, voc.")
    ] = "auto",
    background: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Class of the unlabelled area. Without it, that does not count (255)."),
    ] = None,
    keep_empty: Annotated[bool, typer.Option("--keep-empty", help="Also take images without any area.")] = False,
) -> None:
    """Make a data set `folder` from an export of a label tool: COCO, CVAT, VOC, LabelMe and others."""
    from segdistill.data import import_data

    with progress_bar() as bar:
        task = bar.add_task("importing", total=None, note="")
        imported = import_data(
            source, folder, format=format_, background=background, keep_empty=keep_empty,
            advance=lambda done: bar.update(task, completed=done),
        )  # fmt: skip
    _show(imported)


def _show(imported: "Imported") -> None:
    counts = ", ".join(f"{split} {count:,}" for split, count in imported.splits.items())
    say(f"read as {imported.format}: {len(imported.classes)} classes; images: {counts}")
    for reason, count in imported.left_out.items():
        say(f"left out, {reason}: {count:,} images ({shorten(imported.examples[reason], 3)})")
    if imported.lost:
        say("lost, no area of a class: " + ", ".join(f"{count:,} {kind}" for kind, count in imported.lost.items()))
    for note in imported.notes:
        say(f"Datumaro says: {note}")
    if imported.unused:
        say(f"no pixel has the class {quote(imported.unused)}")
    if len(imported.classes) > _MOST:
        say(f"More than {_MOST} classes: name or merge those to train by data.options.labels")
    if imported.background is None:
        say("The unlabelled area is 255 and does not count. If it is a class: --background NAME")
    root = f"data.dataset=folder data.root={imported.folder}"
    if len(imported.splits) == 1:
        (split,) = imported.splits
        options = f"{{images: {split}/images, masks: {split}/masks, shares: {{val: 0.2}}}}"
        say(f'imported: {imported.folder}. One split; draw others from it: {root} "data.options={options}"')
    else:
        first, second = list(imported.splits)[:2]
        named = {"train_split": (first, "train"), "val_split": (second, "val")}
        keys = "".join(f" data.{key}={split}" for key, (split, default) in named.items() if split != default)
        say(f"imported: {imported.folder}. Use it by {root}{keys}")
