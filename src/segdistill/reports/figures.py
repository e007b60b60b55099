"""Plotly figures of a report. Colours are those of Okabe and Ito, which colour-blind readers can tell apart."""

from collections.abc import Sequence
from html import escape
from statistics import mean
from typing import Any

import plotly.graph_objects as go

from segdistill.reports.read import Curve, curve
from segdistill.reports.table import KIND_NAMES, Row

PALETTE = {"teacher": "#0072B2", "student": "#E69F00", "distilled": "#009E73"}
MORE_COLORS = ("#CC79A7", "#56B4E9", "#D55E00", "#B8A800", "#7F7F7F")
DASHES = ("solid", "dash", "dot", "dashdot")

_MOST_POINTS = 300
MOST_CLASSES = 40
"""Bars of more classes would not be legible."""


def row_styles(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Colour and dash of every row: the first of each kind has the colour of the kind."""
    free, taken, styles = 0, set(), []
    for row in rows:
        if row.kind not in taken:
            taken.add(row.kind)
            styles.append({"color": PALETTE[row.kind], "dash": "solid"})
            continue
        color, dash = MORE_COLORS[free % len(MORE_COLORS)], DASHES[(free // len(MORE_COLORS)) % len(DASHES)]
        styles.append({"color": color, "dash": dash})
        free += 1
    return styles


def miou_figure(rows: Sequence[Row]) -> go.Figure | None:
    """Validation mIoU in per cent against the step: thin lines are seeds, thick ones their mean."""
    curves = [[curve(run.records, "val", "miou") for run in row.runs] for row in rows]
    figure = _figure("step", "validation mIoU, %")
    _add_rows(figure, rows, [[[(x, 100 * y) for x, y in seed] for seed in row] for row in curves], "lines+markers")
    return figure if figure.data else None


def loss_figure(rows: Sequence[Row]) -> go.Figure | None:
    """Task loss against the step; it, and not the sum of all terms, can be compared between runs."""
    curves = [[_thin(curve(run.records, "parts", "task")) for run in row.runs] for row in rows]
    figure = _figure("step", "task loss")
    _add_rows(figure, rows, curves, "lines")
    return figure if figure.data else None


def parts_figure(row: Row) -> go.Figure | None:
    """All unweighted loss parts of the first seed of a row, on a logarithmic axis."""
    run = row.runs[0]
    names = dict.fromkeys(name for record in run.records for name in _parts(record))
    figure = _figure("step", "unweighted loss part", log=True)
    colors = (*PALETTE.values(), *MORE_COLORS)
    for index, name in enumerate(names):
        points = [point for point in _thin(curve(run.records, "parts", name)) if point[1] > 0]
        if points:
            style = {"color": colors[index % len(colors)], "dash": DASHES[index // len(colors) % len(DASHES)]}
            figure.add_trace(_line(points, escape(name, quote=False), style, "lines"))
    return figure if figure.data else None


def class_figure(rows: Sequence[Row]) -> go.Figure | None:
    """IoU of every class in per cent, a bar per row; of many classes, those where the rows differ most."""
    table = class_table(rows)
    if not table:
        return None
    shown = table
    if len(table) > MOST_CLASSES:
        widest = sorted(table, key=lambda name: _spread(table[name]), reverse=True)[:MOST_CLASSES]
        shown = {name: table[name] for name in table if name in widest}
    figure = _figure(None, "IoU, %")
    for index, (row, style) in enumerate(zip(rows, row_styles(rows), strict=True)):
        values = [None if iou is None else round(100 * iou, 2) for iou in (line[index] for line in shown.values())]
        if any(value is not None for value in values):
            names = [escape(name, quote=False) for name in shown]
            figure.add_trace(go.Bar(x=names, y=values, name=row_label(row), marker={"color": style["color"]}))
    figure.update_layout(barmode="group", bargap=0.25, hovermode="x unified")
    figure.update_xaxes(type="category")
    return figure


def class_table(rows: Sequence[Row]) -> dict[str, list[float | None]]:
    """IoU by class name, one value per row: the mean over the seeds in which the class occurs."""
    scores = [[run.result.score.per_class_iou for run in row.runs if run.result.score] for row in rows]
    names = dict.fromkeys(name for row in scores for seed in row for name in seed)
    table: dict[str, list[float | None]] = {}
    for name in names:
        known = [[value for seed in row if (value := seed.get(name)) is not None] for row in scores]
        table[name] = [mean(values) if values else None for values in known]
    return table


def row_label(row: Row) -> str:
    """Name and kind of a row, as text that Plotly does not take for markup."""
    return escape(f"{row.name} ({KIND_NAMES[row.kind]})", quote=False)


def _add_rows(figure: go.Figure, rows: Sequence[Row], curves: list[list[Curve]], mode: str) -> None:
    for row, style, seeds in zip(rows, row_styles(rows), curves, strict=True):
        seeds = [seed for seed in seeds if seed]
        if len(seeds) > 1:
            for seed in seeds:
                thin = _line(seed, row_label(row), style, "lines", width=1)
                figure.add_trace(
                    thin.update(opacity=0.4, showlegend=False, hoverinfo="skip", legendgroup=row_label(row))
                )
            shared = set.intersection(*({step for step, _ in seed} for seed in seeds))
            by_step = [dict(seed) for seed in seeds]
            seeds = [[(step, mean(values[step] for values in by_step)) for step in sorted(shared)]]
        if seeds and seeds[0]:
            figure.add_trace(_line(seeds[0], row_label(row), style, mode).update(legendgroup=row_label(row)))


def _line(points: Curve, name: str, style: dict[str, str], mode: str, width: float = 2.5) -> Any:
    steps, values = zip(*points, strict=True)
    return go.Scatter(
        x=list(steps),
        y=[float(f"{value:.5g}") for value in values],
        name=name,
        mode=mode,
        line={**style, "width": width},
        marker={"size": 6},
    )


def _figure(x_title: str | None, y_title: str, *, log: bool = False) -> go.Figure:
    axis = {"gridcolor": "rgba(128,128,128,0.22)", "zeroline": False, "automargin": True, "fixedrange": False}
    return go.Figure(
        layout={
            "template": "none",
            "height": 380,
            "margin": {"l": 56, "r": 12, "t": 12, "b": 44},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "size": 13},
            "hovermode": "x unified",
            "showlegend": True,
            "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
            "xaxis": {**axis, "title": {"text": x_title}},
            "yaxis": {**axis, "title": {"text": y_title}, "type": "log" if log else "linear"},
        }
    )


def _thin(points: Curve) -> Curve:
    """At most a few hundred points: means over runs of neighbours, at the last step of each."""
    size = -(-len(points) // _MOST_POINTS) or 1
    blocks = [points[start : start + size] for start in range(0, len(points), size)]
    return [(block[-1][0], mean(value for _, value in block)) for block in blocks]


def _parts(record: dict[str, Any]) -> list[str]:
    parts = record.get("parts")
    return list(parts) if isinstance(parts, dict) else []


def _spread(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return max(known) - min(known) if known else 0.0
