"""Reads run folders. Everything in them is checked, since a folder may come from anywhere."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segdistill import rundir
from segdistill.rundir import RunError

Kind: TypeAlias = Literal["teacher", "student", "distilled"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0)]
Byte = Annotated[int, Field(ge=0, le=255)]
Curve: TypeAlias = list[tuple[int, float]]

_LONGEST_TEXT = 100_000


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Score(_Record):
    """Scores in [0, 1]; the IoU of a class that did not occur is None."""

    miou: Share
    pixel_accuracy: Share
    per_class_iou: dict[str, Share | None]


class TeacherScore(_Record):
    """The teacher of a distillation, scored like its student."""

    name: str
    miou: Share


class Labels(_Record):
    """Class names and colours, in the order of train ids."""

    names: list[str]
    colors: list[tuple[Byte, Byte, Byte]]


class Result(_Record):
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
    labels: Labels | None = None


class Run(NamedTuple):
    """One complete run.

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
        result=_read_result(folder / rundir.RESULT),
        records=list(rundir.read_records(folder / rundir.METRICS)),
        recipe=_read_text(folder / rundir.RECIPE),
        environment=known if isinstance(known, dict) else {},
    )


def _read_result(path: Path) -> Result:
    try:
        return Result.model_validate(rundir.read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RunError(
            f"{path} is not the result of a run: {key}: {first['msg']}; got {str(first['input'])[:80]!r}."
        ) from None


def _read_text(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_LONGEST_TEXT)


def curve(records: Sequence[dict[str, Any]], *keys: str) -> Curve:
    """Steps and values of one number of the records, for example ``curve(records, "val", "miou")``.

    Records without it, or where it is no finite number, are left out.
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
