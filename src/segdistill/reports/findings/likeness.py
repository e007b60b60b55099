"""How close the features of the students are to the teacher's, row by row."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from segdistill.reports.findings import embedding
from segdistill.reports.findings.row import Row, row_label
from segdistill.store import CLASS_ARRAY, IMAGE_ARRAY, Array, PixelFeatures, feature_of

Values = list[Array | None]
"""One array a row; None where nothing is known."""


class PixelMap(NamedTuple):
    """Pixels of one network on a plane.

    Attributes:
        label: Of the row.
        places: (N, 2), by t-SNE; only who is near whom has a meaning.
        classes: (N,) train ids.
    """

    label: str
    places: Array
    classes: Array


def pixel_maps(rows: Sequence[Row]) -> dict[int, PixelMap]:
    """A map per row, of its first seed that has features; -1 is a teacher that is no row."""
    found = {index: pixels for index, row in enumerate(rows) if (pixels := _pixels(row)) is not None}
    shown = {index: (row_label(rows[index]), feature_of(pixels, "student", "head")) for index, pixels in found.items()}
    if found and not any(rows[index].kind == "teacher" for index in found):
        taught = next((pixels for pixels in found.values() if feature_of(pixels, "teacher", "head") is not None), None)
        if taught is not None:
            shown = {-1: ("teacher", feature_of(taught, "teacher", "head"))} | shown
            found[-1] = taught
    return {
        index: PixelMap(label, embedding.tsne(features), found[index][CLASS_ARRAY])
        for index, (label, features) in shown.items()
        if features is not None
    }


def distances(rows: Sequence[Row]) -> Values:
    """How far the pixels of each student lie from the teacher's (Af-DCD paper, Figure 4a, as `embedding` reads it)."""
    found = [_pixels(row) for row in rows]
    taught = next((pixels for pixels in found if pixels and feature_of(pixels, "teacher", "layer4") is not None), None)
    values: Values = [None] * len(rows)
    for index, (row, pixels) in enumerate(zip(rows, found, strict=True)):
        if pixels is None or taught is None or row.kind == "teacher":
            continue
        own, teacher = (feature_of(pixels, role, "layer4") for role in ("student", "teacher"))
        if teacher is None and all(np.array_equal(pixels[key], taught[key]) for key in (CLASS_ARRAY, IMAGE_ARRAY)):
            teacher = feature_of(taught, "teacher", "layer4")  # a student alone has none, but its pixels are the same
        if own is not None and teacher is not None:
            values[index] = embedding.distances(own, teacher, pixels[IMAGE_ARRAY])
    return values


def similarities(rows: Sequence[Row]) -> Values:
    """How alike the pixels of one image are to each other (Af-DCD paper, Figure 4b, as `embedding` reads it)."""
    values: Values = []
    for row in rows:
        pixels = _pixels(row)
        own = feature_of(pixels, "student", "layer4") if pixels else None
        values.append(None if pixels is None or own is None else embedding.self_similarity(own, pixels[IMAGE_ARRAY]))
    return values


def _pixels(row: Row) -> PixelFeatures | None:
    return next((run.analysis for run in row.runs if run.analysis), None)
