"""Writes the report: one HTML file that needs no network and lets nothing from a run folder act.

What comes from files is escaped by the template; the data of the figures is JSON in which no tag can begin;
and the page's own policy runs only the two scripts whose hashes it names, and loads nothing.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from segdistill import rundir
from segdistill.reports import figures
from segdistill.reports.gallery import make_gallery
from segdistill.reports.read import Labels, Run, read_runs
from segdistill.reports.table import (
    KIND_NAMES,
    Row,
    best_distilled,
    caveats,
    headline,
    make_rows,
    percent,
    table_cells,
)


class Chart(NamedTuple):
    """A figure on the page: heading, what it shows in words, and its data as JSON that is safe in HTML."""

    title: str
    caption: str
    data: Markup


class Gap(NamedTuple):
    """The scores on the bar of the first screen, and how much of it is filled, in per cent."""

    alone: str
    score: str
    teacher: str
    closed: str
    fill: int


def write_report(runs: Sequence[Path], path: Path) -> Path:
    """Write one self-contained HTML report of one or several runs.

    Args:
        runs: Complete run folders; runs of one recipe name are seeds of one row.
        path: The file to write; its folder is made, an old file is replaced.

    Returns:
        ``path``.

    Raises:
        RunError: If a folder is not a complete run, or a file of it is damaged.
    """
    read = read_runs(runs)
    rows = make_rows(read)
    rundir.write_text(Path(path), _render(rows, read))
    return Path(path)


def _render(rows: Sequence[Row], runs: Sequence[Run]) -> str:
    package = resources.files("segdistill.reports")
    scripts = [get_plotlyjs().strip(), package.joinpath("report.js").read_text(encoding="utf-8").strip()]
    header, cells = table_cells(rows)
    main = best_distilled(rows)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(package.joinpath("template.html").read_text(encoding="utf-8"))
    return template.render(
        headline=headline(rows),
        caveats=caveats(rows),
        gap=_gap(main),
        header=header,
        lines=[
            (row, line, style["color"], row is main)
            for row, line, style in zip(rows, cells, figures.row_styles(rows), strict=True)
        ],
        kind_names=KIND_NAMES,
        charts=_charts(rows, main),
        class_rows=[
            (name, [percent(value, 1) for value in values]) for name, values in figures.class_table(rows).items()
        ],
        row_names=[f"{row.name} ({KIND_NAMES[row.kind]})" for row in rows],
        gallery=make_gallery(rows),
        legend=_legend(rows),
        protocols=list(dict.fromkeys(row.protocol for row in rows if row.protocol)),
        runs=[(run, _flat(run.environment)) for row in rows for run in row.runs],
        style=Markup(package.joinpath("report.css").read_text(encoding="utf-8")),
        scripts=[Markup(script) for script in scripts],
        policy=" ".join(f"'{_hash(script)}'" for script in scripts),
    )


def _charts(rows: Sequence[Row], main: Row | None) -> list[Chart]:
    charts = [
        (
            "Validation mIoU while training",
            "Thin lines are single seeds, the thick line is their mean.",
            figures.miou_figure(rows),
        ),
        (
            "Task loss while training",
            "Cross-entropy with the labels alone, so that runs with and without distillation can be compared.",
            figures.loss_figure(rows),
        ),
    ]
    if main is not None:
        title = f"Loss parts of {main.name}"
        charts.append((title, "Before weighting; logarithmic; first seed.", figures.parts_figure(main)))
    count = len(figures.class_table(rows))
    shown = "" if count <= figures.MOST_CLASSES else f" The {figures.MOST_CLASSES} classes of {count} that differ most."
    charts.append(("IoU of each class", f"Mean over seeds.{shown}", figures.class_figure(rows)))
    return [Chart(title, caption, _safe_json(figure)) for title, caption, figure in charts if figure is not None]


def _safe_json(figure: go.Figure) -> Markup:
    """JSON that may stand inside a script element: nothing in it can close the element or open a comment."""
    text = json.dumps(figure.to_plotly_json(), allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _gap(row: Row | None) -> Gap | None:
    if row is None or row.gap_closed is None or row.gap_closed <= 0:
        return None  # a bar would show progress where there is none
    return Gap(
        alone=percent(row.alone_miou),
        score=percent(row.miou),
        teacher=percent(row.teacher_miou),
        closed=percent(row.gap_closed, 0),
        fill=round(100 * min(1.0, row.gap_closed)),
    )


def _legend(rows: Sequence[Row]) -> list[tuple[str, tuple[int, int, int]]]:
    known: list[Labels] = [run.result.labels for row in rows for run in row.runs if run.result.labels]
    return list(zip(known[0].names, known[0].colors, strict=False)) if known else []


def _flat(value: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values of the environment, nested ones joined."""
    return [
        (str(key), ", ".join(f"{k} {v}" for k, v in item.items()) if isinstance(item, dict) else str(item))
        for key, item in value.items()
    ]


def _hash(script: str) -> str:
    """The name of an inline script in a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
