"""Writes the report: one HTML file that needs no network and lets nothing from a run folder act.

What comes from files is escaped by the template; the data of the figures is JSON in which no tag can begin;
and the page's own policy runs only the two scripts whose hashes it names, and loads nothing.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from segdistill import store
from segdistill.reports.figures.charts import Look, looks
from segdistill.reports.figures.features import OUTLINE
from segdistill.reports.figures.gallery import Sample, make_gallery
from segdistill.reports.findings.answers import answers
from segdistill.reports.findings.classes import class_labels
from segdistill.reports.findings.provenance import provenance
from segdistill.reports.findings.ranking import best_distilled
from segdistill.reports.findings.row import KIND_NAMES, Row
from segdistill.reports.findings.units import percent
from segdistill.reports.findings.verdict import caveats, headline
from segdistill.reports.page.sections import costs, sections
from segdistill.reports.tables.table import Entry, make_table
from segdistill.store import Comparison

_DASHES = {"dash": "6 4", "dot": "2 3", "dashdot": "7 3 2 3"}
_SYMBOLS = {  # as Plotly draws them, around (15, 6)
    "circle": "M10 6a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z",
    "square": "M10.5 1.5h9v9h-9Z",
    "diamond": "M15 0L21 6L15 12L9 6Z",
    "triangle-up": "M15 .5L20.5 10.5H9.5Z",
    "triangle-down": "M15 11.5L20.5 1.5H9.5Z",
    "cross": "M13 1h4v3h3v4h-3v3h-4v-3h-3v-4h3Z",
    "x": "M12 .5L15 3.5L18 .5L20.5 3L17.5 6L20.5 9L18 11.5L15 8.5L12 11.5L9.5 9L12.5 6L9.5 3Z",
    "star": "M15 0L16.5 4.2L21 4.3L17.4 7L18.7 11.3L15 8.8L11.3 11.3L12.6 7L9 4.3L13.5 4.2Z",
    "pentagon": "M15 .5L20.5 4.7L18.4 11.2H11.6L9.5 4.7Z",
    "hexagram": "M15 0L16.8 3H20.2L18.5 6L20.2 9H16.8L15 12L13.2 9H9.8L11.5 6L9.8 3H13.2Z",
}


class Gap(NamedTuple):
    """The scores on the bar of the first screen, how much of it is filled, in per cent, and whether that is decided."""

    alone: str
    teacher: str
    closed: str
    fill: int
    decided: bool


class Line(NamedTuple):
    """A line of the table: the row, how it is drawn, its network and method, and its entries."""

    row: Row
    look: Look
    about: str
    entries: list[Entry]
    main: bool


def write_report(rows: Sequence[Row], path: Path, comparison: Comparison | None = None) -> Path:
    """Write one self-contained HTML report of one or several runs.

    Args:
        rows: As `summarise` makes them of run folders, or `rows_of` of a comparison.
        path: The file to write; its folder is made, an old file is replaced.
        comparison: What the rows belong to, as `read_comparison` returns it: its command, budget and settings are
            told. None for runs on their own.

    Returns:
        ``path``.

    Raises:
        RunError: If a file of a run is damaged.
    """
    store.write_text(Path(path), _render(rows, comparison))
    return Path(path)


def _render(rows: Sequence[Row], comparison: Comparison | None) -> str:
    scripts = [get_plotlyjs().strip(), _asset("report.js").strip()]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=FunctionLoader(_asset)
    )
    environment.globals |= {"dashes": _DASHES, "symbols": _SYMBOLS, "outline": OUTLINE}
    header, lines = _table(rows)
    gallery = make_gallery(rows)
    return environment.get_template("report.html").render(
        title=comparison.name if comparison else "",
        headline=headline(rows),
        answers=answers(rows),
        gap=_gap(best_distilled(rows)),
        caveats=caveats(rows),
        header=header,
        lines=lines,
        costs=costs(rows),
        sections=sections(rows),
        gallery=gallery,
        orders=_orders(gallery),
        legend=class_labels(rows),
        protocols=list(dict.fromkeys(row.protocol for row in rows if row.protocol)),
        **provenance(rows, comparison)._asdict(),
        style=Markup(_asset("report.css")),
        scripts=[Markup(script) for script in scripts],
        policy=" ".join(f"'{_hash(script)}'" for script in scripts),
    )


def _asset(name: str) -> str:
    return resources.files("segdistill.reports.page").joinpath("assets", name).read_text(encoding="utf-8")


def _table(rows: Sequence[Row]) -> tuple[list[str], list[Line]]:
    table = make_table(rows)
    best = best_distilled(rows)
    students = {row.model for row in rows if row.kind != "teacher"}
    lines = []
    for row, look, line in zip(rows, looks(rows), table.lines, strict=True):
        network = row.model if row.kind != "distilled" or len(students) > 1 else ""
        kind = row.method or (KIND_NAMES[row.kind] if row.name != KIND_NAMES[row.kind] else "")
        about = ", ".join(filter(None, (kind, network)))
        lines.append(Line(row, look, about, line, row is best))
    return table.header, lines


def _gap(row: Row | None) -> Gap | None:
    if row is None or row.gap_closed is None or row.gap_closed <= 0:
        return None  # a bar would show progress where there is none
    return Gap(
        alone=percent(row.alone_miou),
        teacher=percent(row.teacher_miou),
        closed=percent(row.gap_closed, 0),
        fill=round(100 * min(1.0, row.gap_closed)),
        decided=row.vs_alone is not None and row.vs_alone.decided,
    )


def _orders(gallery: Sequence[Sample]) -> list[tuple[str, str]]:
    """What the samples can be sorted by: keys of the page, and words."""
    known = [("spread", "difference between students"), ("gain", "gain over the student alone")]
    return [*(order for order in known if any(getattr(s, order[0]) is not None for s in gallery)), ("name", "name")]


def _hash(script: str) -> str:
    """The name of an inline script in a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
