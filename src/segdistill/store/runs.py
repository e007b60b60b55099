"""Reads run folders. Everything in them is checked, since a folder may come from anywhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError

from segdistill.store.features import Cells, read_cells
from segdistill.store.jsonfiles import is_complete, read_json, read_records
from segdistill.store.names import (
    ANALYSIS,
    CONFUSION,
    ENVIRONMENT,
    FAILED,
    GALLERY_INDEX,
    IMAGES,
    METRICS,
    RECIPE,
    RESULT,
    TIMING,
)
from segdistill.store.records import Confusion, Gallery, GallerySample, Images, Record, Result
from segdistill.util import RunError

Curve: TypeAlias = list[tuple[int, float]]

_LONGEST_TEXT = 100_000


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
        return list(read_records(self.folder / TIMING))

    @cached_property
    def confusion(self) -> list[list[int]] | None:
        """Pixels by true class (row) and predicted class (column); None if there is no such file."""
        path = self.folder / CONFUSION
        if not path.is_file():
            return None
        matrix = read_as(Confusion, path, "a confusion matrix").matrix
        if {len(row) for row in matrix} - {len(matrix)}:
            raise RunError(f"{path} must hold a square matrix; got rows of other lengths than {len(matrix)}.")
        return matrix

    @cached_property
    def images(self) -> list[GallerySample]:
        """Every evaluated image, in order; empty if there is no such file."""
        path = self.folder / IMAGES
        return read_as(Images, path, "a list of images").images if path.is_file() else []

    @cached_property
    def gallery(self) -> list[GallerySample]:
        """Images of its gallery, in the order of its pictures' numbers; empty if there is no such file."""
        path = self.folder / GALLERY_INDEX
        return read_as(Gallery, path, "the index of a gallery").samples if path.is_file() else []

    @cached_property
    def analysis(self) -> Cells:
        """Features of a sample of cells, as `read_cells` returns them; empty if there is no such file."""
        return read_cells(self.folder / ANALYSIS)


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
    if not is_complete(folder):
        if (folder / FAILED).is_file():
            raise RunError(f"{folder} is a run that failed: {read_failure(folder)}")
        if (folder / RECIPE).is_file():
            raise RunError(
                f"{folder} is a run that is not complete: it has no {RESULT}. "
                f"Continue it with: segdistill train --resume {folder}"
            )
        raise RunError(f"{folder} is not a run folder: it has neither {RESULT} nor {RECIPE}.")
    environment = folder / ENVIRONMENT
    known = read_json(environment) if environment.is_file() else {}
    return Run(
        folder=folder,
        result=read_as(Result, folder / RESULT, "the result of a run"),
        records=list(read_records(folder / METRICS)),
        recipe=_read_text(folder / RECIPE),
        environment=known if isinstance(known, dict) else {},
    )


def read_failure(folder: Path) -> str | None:
    """Why a run failed; None if it did not."""
    path = folder / FAILED
    if is_complete(folder) or not path.is_file():
        return None
    try:
        known = read_json(path)
    except RunError:
        known = None
    error = known.get("error") if isinstance(known, dict) else None
    return error[:_LONGEST_TEXT] if isinstance(error, str) and error.strip() else f"{FAILED} tells no error."


_R = TypeVar("_R", bound=Record)


def read_as(form: type[_R], path: Path, what: str, **more: Any) -> _R:
    """Read a JSON file that has the keys of ``form``; ``more`` replaces keys of it.

    Raises:
        RunError: If it is missing or damaged; ``what`` says what it should be.
    """
    known = read_json(path)
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
