"""Figures of the features: t-SNE maps, distances to the teacher, self-similarity."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segdistill.reports.figures.charts import Figure, figure, line, looks, numbers, row_label, text
from segdistill.reports.findings import embedding
from segdistill.reports.findings.rows import Row
from segdistill.store import Array, Cells, feature_of

CLASS_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#A89B00")
CLASS_SYMBOLS = ("circle", "x", "triangle-up", "square")
_OTHER = "#9aa3ab"


DISTANCE = (
    "What a linear map of a student's cells cannot tell of the teacher's: 0 nothing, 1 everything. Boxes hold the "
    "middle half of the cells, whiskers 90 %; first seed."
)
SIMILARITY = "Cosines between the cells of one image, first seed: the closer to the teacher's line, the more alike."


class ClassLook(NamedTuple):
    """How a class is drawn in every map: with seven colours and four markers no two of 28 classes are alike."""

    name: str
    color: str
    symbol: str


def class_looks(names: Sequence[str], classes: NDArray[np.int64]) -> dict[int, ClassLook]:
    """Looks of the 28 most frequent classes, in the order of their ids; the others share a grey circle."""
    frequent = sorted(index for index, _ in Counter(classes.tolist()).most_common(28))
    return {
        index: ClassLook(
            names[index] if index < len(names) else f"class {index}",
            CLASS_COLORS[place % len(CLASS_COLORS)],
            CLASS_SYMBOLS[place // len(CLASS_COLORS)],
        )
        for place, index in enumerate(frequent)
    }


def embedding_figures(rows: Sequence[Row]) -> tuple[dict[int, tuple[str, Figure]], list[ClassLook]]:
    """A t-SNE map per row, of its first seed that has features, and the looks of the classes in all of them.

    Returns:
        By number of the row (-1 for a teacher that is no row) its label and its figure; and the legend.
    """
    found = {index: cells for index, row in enumerate(rows) if (cells := _cells(row)) is not None}
    shown = {index: (row_label(rows[index]), feature_of(cells, "student", "head")) for index, cells in found.items()}
    if found and not any(rows[index].kind == "teacher" for index in found):
        taught = next((cells for cells in found.values() if feature_of(cells, "teacher", "head") is not None), None)
        if taught is not None:
            shown = {-1: ("teacher", feature_of(taught, "teacher", "head"))} | shown
            found[-1] = taught
    names = next((run.result.labels.names for row in rows for run in row.runs if run.result.labels), [])
    classes = [cells["class"] for cells in found.values()]
    styles = class_looks(names, np.concatenate(classes)) if classes else {}
    return {
        index: (label, map_figure(embedding.tsne(features), found[index]["class"], styles))
        for index, (label, features) in shown.items()
        if features is not None
    }, list(styles.values())


def distance_figure(rows: Sequence[Row]) -> Figure | None:
    """How far the cells of each student lie from the teacher's (Af-DCD paper, Figure 4a, as `embedding` reads it)."""
    found = [_cells(row) for row in rows]
    taught = next((cells for cells in found if cells and feature_of(cells, "teacher", "layer4") is not None), None)
    values: list[Array | None] = [None] * len(rows)
    for index, (row, cells) in enumerate(zip(rows, found, strict=True)):
        if cells is None or taught is None or row.kind == "teacher":
            continue
        own, teacher = (feature_of(cells, role, "layer4") for role in ("student", "teacher"))
        if teacher is None and all(np.array_equal(cells[key], taught[key]) for key in ("class", "image")):
            teacher = feature_of(taught, "teacher", "layer4")  # a student alone has none, but its cells are the same
        if own is not None and teacher is not None:
            values[index] = embedding.distances(own, teacher, cells["image"])
    return box_figure(rows, values, "distance to the teacher")


def similarity_figure(rows: Sequence[Row]) -> Figure | None:
    """How alike the cells of one image are to each other (Af-DCD paper, Figure 4b, as `embedding` reads it)."""
    values: list[Array | None] = []
    for row in rows:
        cells = _cells(row)
        own = feature_of(cells, "student", "layer4") if cells else None
        values.append(None if cells is None or own is None else embedding.self_similarity(own, cells["image"]))
    return density_figure(rows, values, "cosine")


def _cells(row: Row) -> Cells | None:
    return next((run.analysis for run in row.runs if run.analysis), None)


def map_figure(places: NDArray[Any], classes: NDArray[np.int64], styles: dict[int, ClassLook]) -> Figure:
    """A t-SNE map (N, 2): a marker per pixel, its look that of the pixel's class."""
    bare = {"visible": False, "fixedrange": True}
    drawn = figure(
        None, None, height=300, xaxis=bare, yaxis={**bare, "scaleanchor": "x"},
        margin={"l": 4, "r": 4, "t": 4, "b": 4},
    )  # fmt: skip
    known = [(styles[index], classes == index) for index in styles]
    others = ~np.isin(classes, list(styles))
    for style, chosen in [*known, (ClassLook("other classes", _OTHER, "circle"), others)]:
        if chosen.any():
            drawn["data"].append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": numbers(places[chosen, 0]),
                    "y": numbers(places[chosen, 1]),
                    "name": text(style.name),
                    "marker": {"color": style.color, "symbol": style.symbol, "size": 5},
                    "hovertemplate": text(style.name).replace("%", "&#37;") + "<extra></extra>",
                }
            )
    return drawn


def box_figure(rows: Sequence[Row], values: Sequence[NDArray[Any] | None], title: str) -> Figure | None:
    """A box per row: median, quartiles, and whiskers at 5 and 95 % of the values."""
    drawn = figure(title, None, yaxis={"type": "category", "autorange": "reversed"})
    for index, (row, look, value) in enumerate(zip(rows, looks(rows), values, strict=True)):
        if value is None or not len(value):
            continue
        low, first, middle, third, high = numbers(np.quantile(value, [0.05, 0.25, 0.5, 0.75, 0.95]))
        drawn["data"].append(
            {
                "type": "box",
                "orientation": "h",
                "y": [text(row.name)],
                "lowerfence": [low],
                "q1": [first],
                "median": [middle],
                "q3": [third],
                "upperfence": [high],
                "name": text(row_label(row)),
                "line": {"color": look.color, "width": 3 if look.main else 1.5},
                "meta": index,
            }
        )
    drawn["layout"]["height"] = 100 + 28 * len(drawn["data"])
    return drawn if drawn["data"] else None


def density_figure(rows: Sequence[Row], values: Sequence[NDArray[Any] | None], title: str) -> Figure | None:
    """The distribution of values in [-1, 1] per row, as a line over sixty bins."""
    drawn = figure(title, "share of pairs, %")
    for index, (row, look, value) in enumerate(zip(rows, looks(rows), values, strict=True)):
        if value is None or not len(value):
            continue
        counts, edges = np.histogram(value, bins=60, range=(-1, 1))
        curve = [*zip((edges[:-1] + edges[1:]) / 2, 100 * counts / max(1, counts.sum()), strict=True)]
        trace = line(curve, row_label(row), look.color, look.dash, meta=index)
        trace["line"]["width"] = 3 if look.main else 1.6
        drawn["data"].append(trace)
    return drawn if drawn["data"] else None
