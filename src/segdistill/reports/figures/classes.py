"""Figures by class: scores and differences to the student alone."""

from collections.abc import Sequence
from statistics import mean

from segdistill.reports.figures.charts import Figure, figure, heat_map, looks, numbers, text
from segdistill.reports.findings.classes import ClassTable, Measure, class_table
from segdistill.reports.findings.ranking import alone_of, main_rows
from segdistill.reports.findings.row import Row, row_label

MOST_CLASSES = 40
"""A figure of more classes would not be legible."""

_LOSS, _GAIN = "#D55E00", "#0072B2"
_DIFFERENCES = [[0, "rgba(213,94,0,.8)"], [0.5, "rgba(128,128,128,0)"], [1, "rgba(0,114,178,.8)"]]


def class_figure(rows: Sequence[Row], measure: Measure = "IoU") -> Figure | None:
    """Scores by class in per cent, lowest of the best row first; a line leads from the student alone to the best.

    Of more than forty classes, those in which the rows differ most.
    """
    table = _shown(class_table(rows, measure))
    if not table:
        return None
    main = main_rows(rows)
    focus = main[-1]
    names = sorted(table, key=lambda name: -(table[name][focus] or 0.0))
    labels = [text(name) for name in names]
    order = {"type": "category", "categoryorder": "array", "categoryarray": labels, "range": [-0.7, len(labels) - 0.3]}
    drawn = figure(f"{measure}, %", None, height=90 + 24 * len(names), yaxis=order, hovermode="y unified")
    base = alone_of(rows, rows[focus])
    for color, up in ((_GAIN, True), (_LOSS, False)) if base is not None else ():
        x, y = [], []
        for name, label in zip(names, labels, strict=True):
            start, end = table[name][base or 0], table[name][focus]
            if start is not None and end is not None and (end > start) == up:
                x += [100 * start, 100 * end, None]
                y += [label, label, None]
        span = {"mode": "lines", "line": {"color": color, "width": 4}, "opacity": 0.45, "hoverinfo": "skip"}
        drawn["data"].append({"type": "scatter", "x": numbers(x), "y": y, **span})
    for index, (row, look) in enumerate(zip(rows, looks(rows), strict=True)):
        values = [table[name][index] for name in names]
        if any(value is not None for value in values):
            marker = {"color": look.color, "symbol": look.symbol, "size": 10 if look.main else 6}
            drawn["data"].append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": numbers(None if value is None else 100 * value for value in values),
                    "y": labels,
                    "name": text(row_label(row)),
                    "marker": marker,
                    "opacity": 1 if look.main else 0.6,
                    "meta": index,
                }
            )
    return drawn


def difference_figure(rows: Sequence[Row], measure: Measure = "IoU") -> Figure | None:
    """Heat map of points gained on the student alone: a line per class, a column per distilled row."""
    table = class_table(rows, measure)
    columns = [(index, base) for index, row in enumerate(rows) if (base := alone_of(rows, row)) is not None]
    gains = {name: [_points(values[i], values[base]) for i, base in columns] for name, values in table.items()}
    gains = {name: values for name, values in gains.items() if any(value is not None for value in values)}
    if not gains:
        return None
    if len(gains) > MOST_CLASSES:
        widest = sorted(gains, key=lambda name: -max(abs(v) for v in gains[name] if v is not None))[:MOST_CLASSES]
        gains = {name: values for name, values in gains.items() if name in widest}
    names = sorted(gains, key=lambda name: mean(v for v in gains[name] if v is not None), reverse=True)
    largest = max(1.0, *(abs(v) for values in gains.values() for v in values if v is not None))
    return heat_map(
        [text(rows[index].name) for index, _ in columns],
        [text(name) for name in names],
        [numbers(gains[name]) for name in names],
        "%{z:+.1f}",
        "%{y}, %{x}: %{z:+.2f} points<extra></extra>",
        {"colorscale": _DIFFERENCES, "zmin": -largest, "zmax": largest},
        height=80 + 24 * len(names) + 4 * min(60, max(len(rows[index].name) for index, _ in columns)),
    )


def _points(score: float | None, base: float | None) -> float | None:
    return None if score is None or base is None else 100 * (score - base)


def _shown(table: ClassTable) -> ClassTable:
    table = {name: values for name, values in table.items() if any(value is not None for value in values)}
    if len(table) <= MOST_CLASSES:
        return table
    widest = sorted(table, key=lambda name: _spread(table[name]), reverse=True)[:MOST_CLASSES]
    return {name: table[name] for name in table if name in widest}


def _spread(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return max(known) - min(known) if known else 0.0
