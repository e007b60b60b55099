"""Figures of scores, cost and training: mIoU over what it costs, curves, loss terms and their gradients."""

from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import Any, Literal

from segdistill.reports.figures.charts import (
    COLORS,
    DASHES,
    MORE_COLORS,
    Figure,
    Look,
    Series,
    bar,
    curves,
    figure,
    looks,
    numbers,
    text,
    thin,
)
from segdistill.reports.findings.parts import PartsKey, part_curves
from segdistill.reports.findings.row import KIND_NAMES, Row, row_label
from segdistill.store import LogLine, Run, curve

LEGEND = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0}
"""Above the figure, where it takes no width."""

_FROM_ZERO, _NOT_NEGATIVE = {"rangemode": "tozero"}, {"rangemode": "nonnegative"}


def cost_figure(
    rows: Sequence[Row], cost: Literal["ms_per_image", "seconds"], *, teachers: bool = True
) -> Figure | None:
    """MIoU in per cent over a cost, a marker per row, bars of one standard deviation over seeds in both directions.

    Neither is ever negative: bars end at 0, and so do the axes.

    Args:
        rows: The rows.
        cost: ``"ms_per_image"``, latency of one image; ``"seconds"``, wall-clock time of training, in minutes here.
        teachers: Draw teachers too. They lie so far off that the students next to them lie on top of each other.
    """
    scale, title = (1.0, "milliseconds per image") if cost == "ms_per_image" else (60.0, "minutes of training")
    drawn = figure(title, "mIoU, %", xaxis=_FROM_ZERO if teachers else _NOT_NEGATIVE, yaxis=_NOT_NEGATIVE)
    means = [getattr(row, cost) if teachers or row.kind != "teacher" else None for row in rows]
    known = [x for x in means if x is not None]
    middle = (max(known) + (0 if teachers else min(known))) / 2 if known else 0.0
    for index, (row, look, x) in enumerate(zip(rows, looks(rows), means, strict=True)):
        if x is None or row.miou is None:
            continue
        spent = [value / scale for run in row.runs if (value := getattr(run.result, cost)) is not None]
        marker: dict[str, Any] = {"color": look.color, "symbol": look.symbol, "size": 13 if look.main else 9}
        trace = {
            "type": "scatter",
            "mode": "markers+text" if look.main else "markers",
            "x": numbers([x / scale]),
            "y": numbers([100 * row.miou]),
            "name": text(row_label(row)),
            "text": [f"<b>{text(KIND_NAMES[row.kind] if row.kind == 'student' else row.name)}</b>"],
            "textposition": "middle left" if x > middle else "middle right",
            "hovertemplate": f"%{{y:.2f}} % mIoU, %{{x:.4~g}} {title}",
            "marker": marker,
            "meta": index,
        }
        deviations = {"y": 100 * (row.miou_std or 0), "x": stdev(spent) if spent[1:] else 0}
        for axis, middle_of in (("y", 100 * row.miou), ("x", x / scale)):
            if deviation := deviations[axis]:
                trace[f"error_{axis}"] = bar(deviation, min(deviation, middle_of), look.color)
        drawn["data"].append(trace)
    return drawn if drawn["data"] else None


def miou_figure(rows: Sequence[Row], over: Literal["step", "time"] = "step") -> Figure | None:
    """Validation mIoU in per cent over the step, or over minutes since the start of training."""
    series = _series(rows, lambda line: None if line.val is None else 100 * line.val.miou)
    if over == "time":
        series = [each._replace(at=_minutes(row.runs)) for each, row in zip(series, rows, strict=True)]
    title = "step" if over == "step" else "minutes since the start"
    return curves(series, title, "validation mIoU, %", xaxis=_FROM_ZERO, yaxis=_NOT_NEGATIVE)


def loss_figure(rows: Sequence[Row]) -> Figure | None:
    """Task loss over the step; it, and not the sum of all terms, can be compared between runs."""
    return curves(_series(rows, lambda line: line.parts.get("task")), "step", "task loss", xaxis=_FROM_ZERO)


def parts_figure(row: Row, key: PartsKey = "parts") -> Figure | None:
    """The loss terms of a row over the step, on a logarithmic axis, mean and band over its seeds.

    What is 0 has no place on such an axis: see `findings.parts.silent_parts`.

    Args:
        row: The row.
        key: ``"parts"``, the unweighted terms; ``"grad_norms"``, the norms of the gradients of the weighted ones.
    """
    colors, series = (*COLORS.values(), *MORE_COLORS), []
    for index, (name, seeds) in enumerate(part_curves(row, key).items()):
        positive = [[point for point in thin(seed) if point[1] > 0] for seed in seeds]
        dash = ("solid", *DASHES[:3])[index // len(colors) % 4]
        series.append(Series(name, Look(colors[index % len(colors)], dash, "circle", True), positive))
    title = "unweighted loss" if key == "parts" else "gradient norm"
    layout = {"showlegend": True, "legend": LEGEND, "yaxis": {"type": "log", "exponentformat": "power"}}
    return curves(series, "step", title, xaxis=_FROM_ZERO, **layout)


def _series(rows: Sequence[Row], read: Callable[[LogLine], float | None]) -> list[Series]:
    return [
        Series(row_label(row), look, [thin(curve(run.log, read)) for run in row.runs], index)
        for index, (row, look) in enumerate(zip(rows, looks(rows), strict=True))
    ]


def _minutes(runs: Sequence[Run]) -> dict[int, float]:
    """Mean time of a step over the runs, of the steps that all of them timed."""
    times = [dict(curve(run.timing, lambda line: line.seconds)) for run in runs]
    shared = set.intersection(*(set(time) for time in times)) if times else set()
    return {step: mean(time[step] for time in times) / 60 for step in shared}
