"""Reads run folders. Everything in them is checked, since a folder may come from anywhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segdistill import rundir
from segdistill.reports.cells import Cells, read_cells
from segdistill.rundir import RunError

Kind: TypeAlias = Literal["teacher", "student", "distilled"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Byte = Annotated[int, Field(ge=0, le=255)]
Curve: TypeAlias = list[tuple[int, float]]

_LONGEST_TEXT = 100_000


class Record(BaseModel):
    """A part of a file: unknown keys are ignored, numbers are finite."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Boundary(Record):
    """Boundary IoU and boundary F-score in [0, 1], None where nothing has a contour; `rule` tells the distances."""

    iou: Share | None = None
    f: Share | None = None
    per_class_iou: dict[str, Share | None] = {}
    per_class_f: dict[str, Share | None] = {}
    rule: str = ""


class Score(Record):
    """Scores in [0, 1]; the IoU of a class that did not occur is None."""

    miou: Share
    pixel_accuracy: Share
    per_class_iou: dict[str, Share | None]
    boundary: Boundary | None = None


class TeacherScore(Record):
    """The teacher of a distillation, scored like its student."""

    name: str
    miou: Share


class Labels(Record):
    """Class names and colours, in the order of train ids."""

    names: list[str]
    colors: list[tuple[Byte, Byte, Byte]]


class Result(Record):
    """What a report needs of ``result.json``."""

    name: str
    kind: Kind
    seed: int = 0
    model: str = ""
    terms: dict[str, Any] = {}
    protocol: str | None = None
    score: Score | None = None
    teacher: TeacherScore | None = None
    params: Positive | None = None
    ms_per_image: Positive | None = None
    iterations: int | None = None
    seconds: Positive | None = None
    images_per_s: Positive | None = None
    peak_memory_mb: Positive | None = None
    labels: Labels | None = None


class GallerySample(Record):
    """An image with its mIoU, in the gallery or among all that were evaluated."""

    name: str
    miou: Share | None = None


class _Images(Record):
    images: list[GallerySample]


class _Gallery(Record):
    samples: list[GallerySample]


class _Confusion(Record):
    matrix: list[list[Count]]


@dataclass(frozen=True, eq=False)
class Run:
    """One complete run; its larger files are read when they are first asked for.

    Attributes:
        folder: Where it lies.
        result: Its ``result.json``.
        records: Its ``metrics.jsonl``.
        recipe: Text of its ``recipe.yaml``; empty if there is none.
        environment: Its ``environment.json``; empty if there is none.
    """

    folder: Path
    result: Result
    records: list[dict[str, Any]]
    recipe: str
    environment: dict[str, Any]

    @cached_property
    def timing(self) -> list[dict[str, Any]]:
        """Its ``timing.jsonl``: seconds since the start at the steps of ``records``."""
        return list(rundir.read_records(self.folder / rundir.TIMING))

    @cached_property
    def confusion(self) -> list[list[int]] | None:
        """Pixels by true class (row) and predicted class (column); None if there is no such file."""
        path = self.folder / rundir.CONFUSION
        if not path.is_file():
            return None
        matrix = read_as(_Confusion, path, "a confusion matrix").matrix
        if {len(row) for row in matrix} - {len(matrix)}:
            raise RunError(f"{path} must hold a square matrix; got rows of other lengths than {len(matrix)}.")
        return matrix

    @cached_property
    def images(self) -> list[GallerySample]:
        """Every evaluated image, in order; empty if there is no such file."""
        path = self.folder / rundir.IMAGES
        return read_as(_Images, path, "a list of images").images if path.is_file() else []

    @cached_property
    def gallery(self) -> list[GallerySample]:
        """Images of its gallery, in the order of its pictures' numbers; empty if there is no such file."""
        path = self.folder / rundir.GALLERY_INDEX
        return read_as(_Gallery, path, "the index of a gallery").samples if path.is_file() else []

    @cached_property
    def analysis(self) -> Cells:
        """Features of a sample of cells, as `read_cells` returns them; empty if there is no such file."""
        return read_cells(self.folder / rundir.ANALYSIS)


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Read complete runs; a folder given twice counts once.

    Raises:
        RunError: If there is no folder, one is not a complete run, or a file of it is damaged.
    """
    if not folders:
        raise RunError("`runs` must name at least one run folder; got none.")
    return [_read_run(folder) for folder in {Path(f).resolve(): Path(f) for f in folders}.values()]


def _read_run(folder: Path) -> Run:
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder. Name the folder of a run, for example runs/demo/teacher.")
    if not rundir.is_complete(folder):
        if (folder / rundir.FAILED).is_file():
            raise RunError(f"{folder} is a run that failed: {read_failure(folder)}")
        if (folder / rundir.RECIPE).is_file():
            raise RunError(
                f"{folder} is a run that is not complete: it has no {rundir.RESULT}. "
                f"Continue it with: segdistill train --resume {folder}"
            )
        raise RunError(f"{folder} is not a run folder: it has neither {rundir.RESULT} nor {rundir.RECIPE}.")
    environment = folder / rundir.ENVIRONMENT
    known = rundir.read_json(environment) if environment.is_file() else {}
    return Run(
        folder=folder,
        result=read_as(Result, folder / rundir.RESULT, "the result of a run"),
        records=list(rundir.read_records(folder / rundir.METRICS)),
        recipe=_read_text(folder / rundir.RECIPE),
        environment=known if isinstance(known, dict) else {},
    )


def read_failure(folder: Path) -> str | None:
    """Why a run failed; None if it did not."""
    path = folder / rundir.FAILED
    if rundir.is_complete(folder) or not path.is_file():
        return None
    try:
        known = rundir.read_json(path)
    except RunError:
        known = None
    error = known.get("error") if isinstance(known, dict) else None
    return error[:_LONGEST_TEXT] if isinstance(error, str) and error.strip() else f"{rundir.FAILED} tells no error."


_R = TypeVar("_R", bound=Record)


def read_as(form: type[_R], path: Path, what: str, **more: Any) -> _R:
    """Read a JSON file that has the keys of ``form``; ``more`` replaces keys of it.

    Raises:
        RunError: If it is missing or damaged; ``what`` says what it should be.
    """
    known = rundir.read_json(path)
    try:
        return form.model_validate({**known, **more} if isinstance(known, dict) else known)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RunError(f"{path} is not {what}: {key}: {first['msg']}; got {str(first['input'])[:80]!r}.") from None


def _read_text(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_LONGEST_TEXT)


def curve(records: Sequence[dict[str, Any]], *keys: str) -> Curve:
    """Steps and values of one number of the records, for example ``curve(records, "val", "miou")``.

    Records without it, or where it is no finite number, are left out.

    Example:
        >>> curve([{"step": 1, "loss": 2}, {"step": 2, "val": {}}], "loss")
        [(1, 2.0)]
    """
    points: Curve = []
    for record in records:
        value: Any = record
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        step = record.get("step")
        if isinstance(step, int) and isinstance(value, int | float) and math.isfinite(value):
            points.append((step, float(value)))
    return points
