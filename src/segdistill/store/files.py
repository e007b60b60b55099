"""Every file of a run folder and of a comparison's folder: its name, its record, what it holds.

``docs/files.md`` shows the same lists; a test holds them together.
"""

from typing import NamedTuple

from segdistill.store import names
from segdistill.store.comparison import Comparison
from segdistill.store.records import (
    AskedTeachers,
    Confusion,
    Environment,
    Failed,
    Gallery,
    Images,
    LogLine,
    Record,
    Result,
    TimingLine,
)


class File(NamedTuple):
    """A file, or files of one kind.

    Attributes:
        name: Relative to the folder; ``*`` stands for any text.
        record: Of the file, or of its lines; None if it is no JSON.
        holds: In words.
    """

    name: str
    record: type[Record] | None
    holds: str


RUN_FILES = (
    File(names.RECIPE, None, "the recipe with every default filled in"),
    File(names.ENVIRONMENT, Environment, "versions, device, commit, command line"),
    File(names.METRICS, LogLine, "losses, gradient norms and validation scores by step; nothing depends on the clock"),
    File(names.TIMING, TimingLine, "seconds and images per second at the same steps"),
    File(names.LAST, None, "all that is needed to continue the run"),
    File(names.BEST, None, "the same, at the step with the best validation score"),
    File(names.STUDENT, None, "the trained network alone, with its architecture and label table"),
    File(names.RESULT, Result, "scores, protocol and cost; the run is complete once this file is there"),
    File(names.ASKED, AskedTeachers, "what the teachers knew of a few validation images before the training"),
    File(names.CONFUSION, Confusion, "pixels by true class (row) and predicted class (column)"),
    File(names.IMAGES, Images, "name and mIoU of every evaluated image"),
    File(names.ANALYSIS, None, "features of a sample of pixels, of the student and of its teacher"),
    File(names.GALLERY_INDEX, Gallery, "name and mIoU of the images in the gallery"),
    File(f"{names.GALLERY}/*.png", None, "some images, their truth, and what the networks predict"),
    File(names.FAILED, Failed, "why a run of a comparison could not be finished"),
    File(names.EVENTS, None, "warnings and messages"),
    File(f"{names.TENSORBOARD}/*", None, "the curves for TensorBoard, if the recipe asks for them"),
    File(".lock", None, "empty; held by the process that works in the folder"),
)
"""Of a run folder."""

COMPARISON_FILES = (
    File(names.COMPARISON, Comparison, "the recipe that all runs share, the methods, the budget, measured latencies"),
    File("teacher/", None, "the run folder of the teacher, if the comparison trained it"),
    File("*/*/", None, "a run folder for every method and seed"),
    File(f"{names.TABLE}.md", None, "the table in Markdown"),
    File(f"{names.TABLE}.tex", None, "the table in LaTeX"),
    File(f"{names.TABLE}.csv", None, "the table for a spreadsheet, raw numbers"),
    File(f"{names.TABLE}.json", None, "the table for programs, with every seed"),
    File(names.REPORT, None, "the report"),
    File("worker_*.log", None, "what each process of `--jobs` said"),
    File(".lock", None, "empty; held while the comparison is set up"),
)
"""Of the folder of a comparison."""
