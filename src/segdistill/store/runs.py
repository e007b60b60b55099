"""Reads run folders. Everything in them is checked, since a folder may come from anywhere."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias, TypeVar

from segdistill.store.features import PixelFeatures, read_pixel_features
from segdistill.store.jsonfiles import is_complete, read_lines, read_record
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
from segdistill.store.records import (
    Confusion,
    Environment,
    Failed,
    Gallery,
    Images,
    ImageScore,
    Line,
    LogLine,
    Result,
    TimingLine,
)
from segdistill.util import RunError

Curve: TypeAlias = list[tuple[int, float]]

_LONGEST_TEXT = 100_000
_L = TypeVar("_L", bound=Line)


@dataclass(frozen=True, eq=False)
class Run:
    """One complete run; its larger files are read when they are first asked for.

    Attributes:
        folder: Where it lies.
        result: Its ``result.json``.
        log: Its ``metrics.jsonl``.
        recipe: Text of its ``recipe.yaml``; empty if there is none.
        environment: Its ``environment.json``; nothing is known if there is none.
    """

    folder: Path
    result: Result
    log: list[LogLine]
    recipe: str
    environment: Environment

    @cached_property
    def timing(self) -> list[TimingLine]:
        """Its ``timing.jsonl``: seconds since the start at the steps of ``log``."""
        return read_lines(TimingLine, self.folder / TIMING)

    @cached_property
    def confusion(self) -> list[list[int]] | None:
        """Pixels by true class (row) and predicted class (column); None if there is no such file."""
        path = self.folder / CONFUSION
        return read_record(Confusion, path).matrix if path.is_file() else None

    @cached_property
    def images(self) -> list[ImageScore]:
        """Every evaluated image, in order; empty if there is no such file."""
        path = self.folder / IMAGES
        return read_record(Images, path).images if path.is_file() else []

    @cached_property
    def gallery(self) -> list[ImageScore]:
        """Images of its gallery, in the order of its pictures' numbers; empty if there is no such file."""
        path = self.folder / GALLERY_INDEX
        return read_record(Gallery, path).samples if path.is_file() else []

    @cached_property
    def analysis(self) -> PixelFeatures:
        """Features of a sample of pixels, as `read_pixel_features` returns them; empty if there is no such file."""
        return read_pixel_features(self.folder / ANALYSIS)


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
    return Run(
        folder=folder,
        result=read_record(Result, folder / RESULT),
        log=read_lines(LogLine, folder / METRICS),
        recipe=_read_text(folder / RECIPE),
        environment=read_record(Environment, environment) if environment.is_file() else Environment(),
    )


def read_failure(folder: Path) -> str | None:
    """Why a run failed; None if it did not."""
    path = folder / FAILED
    if is_complete(folder) or not path.is_file():
        return None
    try:
        return read_record(Failed, path).error[:_LONGEST_TEXT]
    except RunError:
        return f"{FAILED} tells no error."


def _read_text(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_LONGEST_TEXT)


def curve(log: Sequence[_L], read: Callable[[_L], float | None]) -> Curve:
    """Steps and values of one number of a log; lines without it, or where it is not finite, are left out.

    Example:
        >>> curve([LogLine(step=1, loss=2), LogLine(step=2)], lambda line: line.loss)
        [(1, 2.0)]
    """
    found = ((line.step, read(line)) for line in log)
    return [(step, float(value)) for step, value in found if value is not None and math.isfinite(value)]
