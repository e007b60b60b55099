"""Figures of the features: t-SNE maps, distances to the teacher, self-similarity."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segdistill.reports.charts import Figure, figure, line, looks, numbers, row_label, text
from segdistill.reports.table import Row

CLASS_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#A89B00")
CLASS_SYMBOLS = ("circle", "x", "triangle-up", "square")
_OTHER = "#9aa3ab"


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
