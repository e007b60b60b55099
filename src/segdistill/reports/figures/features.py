"""Figures of the features: t-SNE maps, distances to the teacher, self-similarity."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segdistill.reports.figures.charts import Figure, figure, line, looks, numbers, text
from segdistill.reports.findings import likeness
from segdistill.reports.findings.classes import ClassLabel, class_label, class_labels
from segdistill.reports.findings.likeness import PixelMap
from segdistill.reports.findings.row import Row, row_label

CLASS_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x")
OUTLINE = "#8a939c"
"""Around every marker: a class has the colour of its label, which may be as light or as dark as the page."""

_MOST_CLASSES, _RARE_SYMBOL = 30, "star"

DISTANCE = (
    "Share of the teacher's features that cannot be predicted linearly from the student's: 0 is fully predictable, "
    "1 or more is not at all. Boxes hold the middle half of the sampled pixels, whiskers 90 %; first seed."
)
SIMILARITY = (
    "Cosines between the sampled pixels of one image, first seed: the closer to the teacher's line, the more alike."
)


class ClassLook(NamedTuple):
    """How a class is drawn in every map: in the colour of its label, with one of five markers."""

    name: str
    color: str
    symbol: str


def class_looks(labels: Sequence[ClassLabel], classes: NDArray[np.int64]) -> dict[int, ClassLook]:
    """Looks of the 30 most frequent classes, in the order of their ids."""
    frequent = sorted(index for index, _ in Counter(classes.tolist()).most_common(_MOST_CLASSES))
    return {
        index: ClassLook(*class_label(labels, index), CLASS_SYMBOLS[place % len(CLASS_SYMBOLS)])
        for place, index in enumerate(frequent)
    }


def embedding_figures(rows: Sequence[Row]) -> tuple[dict[int, tuple[str, Figure]], list[ClassLook]]:
    """A t-SNE map per row, and the looks of the classes in all of them.

    Returns:
        By number of the row (-1 for a teacher that is no row) its label and its figure; and the legend.
    """
    maps, labels = likeness.pixel_maps(rows), class_labels(rows)
    styles = class_looks(labels, np.concatenate([each.classes for each in maps.values()])) if maps else {}
    figures = {index: (each.label, map_figure(each, styles, labels)) for index, each in maps.items()}
    return figures, list(styles.values())


def map_figure(drawn_map: PixelMap, styles: dict[int, ClassLook], labels: Sequence[ClassLabel]) -> Figure:
    """A t-SNE map: a marker per pixel, its look that of the pixel's class; rare classes share a marker."""
    bare = {"visible": False, "fixedrange": True}
    drawn = figure(
        None, None, height=300, xaxis=bare, yaxis={**bare, "scaleanchor": "x"},
        margin={"l": 4, "r": 4, "t": 4, "b": 4},
    )  # fmt: skip
    places, classes = drawn_map.places, drawn_map.classes
    for index, style in styles.items():
        if (chosen := classes == index).any():
            drawn["data"].append(_markers(places[chosen], style.name, style.color, style.symbol))
    rare = np.flatnonzero(~np.isin(classes, list(styles)))
    if len(rare):
        colors = [class_label(labels, index).color for index in classes[rare].tolist()]
        drawn["data"].append(_markers(places[rare], "other classes", colors, _RARE_SYMBOL))
    return drawn


def _markers(places: NDArray[Any], name: str, color: str | list[str], symbol: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": numbers(places[:, 0]),
        "y": numbers(places[:, 1]),
        "name": text(name),
        "marker": {"color": color, "symbol": symbol, "size": 7, "line": {"color": OUTLINE, "width": 1}},
        "hovertemplate": text(name).replace("%", "&#37;") + "<extra></extra>",
    }


def distance_figure(rows: Sequence[Row]) -> Figure | None:
    """The distance of each student to the teacher, a box a row."""
    return box_figure(rows, likeness.distances(rows), "distance to the teacher")


def similarity_figure(rows: Sequence[Row]) -> Figure | None:
    """The self-similarity of each network, a line a row."""
    return density_figure(rows, likeness.similarities(rows), "cosine")


def box_figure(rows: Sequence[Row], values: Sequence[NDArray[Any] | None], title: str) -> Figure | None:
    """A box per row: median, quartiles, and whiskers at 5 and 95 % of the values."""
    drawn = figure(title, None, xaxis={"rangemode": "tozero"}, yaxis={"type": "category", "autorange": "reversed"})
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
