"""What every figure of a report is made of: looks of the rows, lines, bands, an empty figure.

A figure is a plain dictionary of traces and layout, as Plotly's own JSON. Text from runs is escaped here, since
Plotly takes some of HTML for markup. Traces of a row carry its number in ``meta``: the page can hide them by it.
"""

from collections.abc import Sequence
from html import escape
from math import isfinite
from statistics import mean
from typing import Any, NamedTuple, TypeAlias

from segdistill.reports.findings.ranking import main_rows
from segdistill.reports.findings.row import Row
from segdistill.store import Curve

Figure: TypeAlias = dict[str, Any]
"""``{"data": [trace, ...], "layout": {...}}``."""

COLORS = {"teacher": "#0072B2", "student": "#E69F00", "distilled": "#009E73"}
MORE_COLORS = ("#CC79A7", "#56B4E9", "#D55E00", "#A89B00", "#7F7F7F")
DASHES = ("dash", "dot", "dashdot", "solid")
SYMBOLS = {"teacher": "square", "student": "circle", "distilled": "diamond"}
MORE_SYMBOLS = ("triangle-up", "triangle-down", "cross", "x", "star", "pentagon", "hexagram")

_MOST_POINTS = 200
_MOST_BANDS = 6


class Look(NamedTuple):
    """How a row is drawn wherever it appears: colours of Okabe and Ito, and a dash and a marker besides.

    Attributes:
        color: Hexadecimal.
        dash: Plotly's name of the line's dash.
        symbol: Plotly's name of the marker.
        main: A row the report is about: teacher, student alone, best distilled. The others are drawn fainter.
    """

    color: str
    dash: str
    symbol: str
    main: bool


def looks(rows: Sequence[Row]) -> list[Look]:
    """The look of every row; no two of up to twenty further rows are alike."""
    main, others = main_rows(rows), 0
    made = []
    for index, row in enumerate(rows):
        if index in main:
            made.append(Look(COLORS[row.kind], "solid", SYMBOLS[row.kind], True))
            continue
        dash = DASHES[others // len(MORE_COLORS) % len(DASHES)]
        made.append(Look(MORE_COLORS[others % len(MORE_COLORS)], dash, MORE_SYMBOLS[others % len(MORE_SYMBOLS)], False))
        others += 1
    return made


def text(value: str) -> str:
    """Text that Plotly shows as it is; long names are cut."""
    return escape(value if len(value) <= 60 else value[:59] + "…", quote=False)


def figure(x_title: str | None, y_title: str | None, *, height: int = 340, **layout: Any) -> Figure:
    """A figure without traces; ``layout`` replaces or adds keys of the layout, of its axes too."""
    axis = {"gridcolor": "rgba(128,128,128,0.22)", "zeroline": False, "automargin": True}
    x, y = layout.pop("xaxis", {}), layout.pop("yaxis", {})
    return {
        "data": [],
        "layout": {
            "height": height,
            "margin": {"l": 48, "r": 10, "t": 10, "b": 40},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, DejaVu Sans, sans-serif", "size": 12},
            "hovermode": "closest",
            "showlegend": False,
            "xaxis": {**axis, "title": {"text": x_title}, **x},
            "yaxis": {**axis, "title": {"text": y_title}, **y},
            **layout,
        },
    }


def points(curve: Sequence[tuple[float, float]]) -> dict[str, list[Any]]:
    """``x`` and ``y`` of a trace, rounded to what can be seen."""
    return {"x": numbers(x for x, _ in curve), "y": numbers(y for _, y in curve)}


def numbers(values: Any) -> list[Any]:
    """Numbers of five digits; what is None or not finite becomes None, a hole in the line."""
    return [None if value is None or not isfinite(value) else float(f"{float(value):.5g}") for value in values]


def line(curve: Sequence[tuple[float, float]], name: str, color: str, dash: str = "solid", **trace: Any) -> Figure:
    """A line, shown in full in the hover label; a marker where there is a single point."""
    style = {"color": color, "dash": dash, "width": 2}
    mode = "lines" if len(curve) > 1 else "markers"
    return {"type": "scatter", "mode": mode, **points(curve), "name": text(name), "line": style, **trace}


class Series(NamedTuple):
    """A line to draw: the curves of its seeds, and how it looks.

    Attributes:
        name: Shown in the hover label and the legend.
        look: Colour and dash.
        seeds: The curve of each seed, by step.
        meta: Number of its row; None if it belongs to the chart alone.
        at: Where a step lies on the horizontal axis; None for the step itself.
    """

    name: str
    look: Look
    seeds: list[Curve]
    meta: int | None = None
    at: dict[int, float] | None = None


def curves(series: Sequence[Series], x_title: str, y_title: str, **layout: Any) -> Figure | None:
    """A line per series, the mean of its seeds, in a band from the lowest to the highest seed.

    Means and bands cover the steps that all seeds have. Beyond six series only the main ones have a band. Where the
    seeds share a single step, it is a marker with a bar from the lowest to the highest.

    Returns:
        The figure; None if there is nothing to draw.
    """
    drawn = figure(x_title, y_title, **layout)
    crowded = sum(any(each.seeds) for each in series) > _MOST_BANDS
    for each in series:
        found = [dict(seed) for seed in each.seeds if seed]
        steps = sorted(set.intersection(*(set(seed) for seed in found))) if found else []
        places = {step: float(step) for step in steps} if each.at is None else each.at
        steps = [step for step in steps if step in places]
        if not steps:
            continue
        values = [[seed[step] for seed in found] for step in steps]
        x, main, color = [places[step] for step in steps], each.look.main, each.look.color
        middle = [*map(mean, values)]
        trace = line([*zip(x, middle, strict=True)], each.name, color, each.look.dash, meta=each.meta)
        if len(steps) == 1:
            trace["marker"] = {"color": color, "symbol": each.look.symbol, "size": 11 if main else 8}
        if len(found) > 1 and len(steps) == 1:
            up, down = max(values[0]) - middle[0], middle[0] - min(values[0])
            trace["error_y"] = bar(up, down, color)
        elif len(found) > 1 and (main or not crowded):
            edge = [*zip(x, map(min, values), strict=True), *reversed([*zip(x, map(max, values), strict=True)])]
            band = {"mode": "none", "fill": "toself", "fillcolor": f"{color}2e", "hoverinfo": "skip"}
            drawn["data"].append({"type": "scatter", **points(edge), **band, "showlegend": False, "meta": each.meta})
        trace["line"]["width"] = 3 if main else 1.6
        drawn["data"].append(trace)
    return drawn if drawn["data"] else None


def bar(up: float, down: float, color: str) -> dict[str, Any]:
    """An error bar that reaches so far up and down from its point."""
    ends = {"symmetric": False, "array": numbers([up]), "arrayminus": numbers([down])}
    return {**ends, "color": color, "thickness": 1.2, "width": 3}


def thin(curve: Curve) -> Curve:
    """At most a few hundred points: means over runs of neighbours, at the last step of each."""
    size = -(-len(curve) // _MOST_POINTS) or 1
    blocks = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(block[-1][0], mean(value for _, value in block)) for block in blocks]


def heat_map(
    x: list[str],
    y: list[str],
    z: list[list[float | None]],
    entry: str | None,
    hover: str,
    color: dict[str, object],
    *,
    height: int,
) -> Figure:
    """A heat map over named columns ``x`` and lines ``y``, from the bottom up.

    Args:
        x: Names of columns, escaped.
        y: Names of lines, escaped.
        z: Values by line and column; None is a hole.
        entry: How Plotly writes a value into its place; None for no text.
        hover: How it writes the hover label.
        color: Colour scale and range. Colours that fade to transparency suit light and dark pages alike.
        height: Of the figure, pixels.
    """
    axis = {"type": "category", "showgrid": False, "ticks": ""}
    drawn = figure(None, None, height=height, xaxis={**axis, "side": "top", "tickangle": -45}, yaxis=axis)
    drawn["layout"]["margin"] |= {"t": 60, "b": 8}
    trace = {"type": "heatmap", "x": x, "y": y, "z": z, "xgap": 1, "ygap": 1, "hovertemplate": hover, **color}
    trace |= {"showscale": False} | ({"texttemplate": entry, "textfont": {"size": 11}} if entry else {})
    drawn["data"].append(trace)
    return drawn
