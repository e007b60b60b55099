"""Verbs for what was trained: evaluate, report."""

from pathlib import Path
from typing import Annotated

import typer

from segdistill.cli.console import say
from segdistill.cli.options import Overrides, TrainedStudent
from segdistill.cli.tables import print_scores, print_summary


def evaluate(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, or a student.safetensors or .pth with --recipe.")
    ],
    overrides: Overrides = None,
    recipe: Annotated[str | None, typer.Option(help="Recipe that names the data. [default: that of the run]")] = None,
    split: Annotated[
        str | None, typer.Option(help="What to score on. [default: the recipe's test split, else its val split]")
    ] = None,
    official: Annotated[
        str | None,
        typer.Option(help="For a .pth of the paper's authors: which network, e.g. deeplabv3_resnet18"),
    ] = None,
    student: TrainedStudent = None,
    json: Annotated[Path | None, typer.Option(help="Also write the scores to this file.")] = None,
) -> None:
    """Score a trained network: mIoU, pixel accuracy, IoU of each class, under a named protocol."""
    from segdistill import store
    from segdistill.experiment import evaluate as score

    scored = score(run, recipe=recipe, overrides=overrides or [], split=split, official=official, student=student)
    print_scores(scored)
    if json is not None:
        store.write_json(json, scored._asdict())


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Complete run folders, or the folder of a comparison.")
    ],
    file: Annotated[Path, typer.Option("--out", help="HTML file.")] = Path("report.html"),
    markdown: Annotated[Path | None, typer.Option(help="Also write the table to this file, as Markdown.")] = None,
) -> None:
    """One HTML file, and a table, for one or several runs; runs of one name are seeds of one row."""
    from segdistill.reports import report as write

    print_summary(write(runs, file, markdown=markdown).rows)
    say(f"report: {file}")
