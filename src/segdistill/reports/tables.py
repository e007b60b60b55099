"""Rows as a table for people and for programs: cells of text, Markdown, LaTeX, CSV, JSON.

Names come from run folders and may hold anything, so each format escapes them in its own way.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

from segdistill.metrics import Paired
from segdistill.reports.findings.rows import Row
from segdistill.reports.findings.units import percent, points

_COST = ("steps", "seconds", "images/s", "peak MB", "ms/image", "params M")


def table_cells(
    rows: Sequence[Row], part: Literal["all", "scores", "cost"] = "all"
) -> tuple[list[str], list[list[str]]]:
    """Header and cells as text, for a terminal, Markdown or HTML; ``-`` where something is not known.

    Differences are in percentage points, with their 95 % interval over seeds. A column in which no row has a value
    is left out.

    Args:
        rows: Of the table.
        part: Scores and cost apart, each with the names of the runs, fit a terminal.

    Example:
        >>> table_cells([Row("kd", "distilled", miou=0.5, miou_std=0.01)])
        (['run', 'mIoU %', 'seeds'], [['kd', '50.00 ± 1.00', '0']])
    """
    other = next((row.against for row in rows if row.against is not None), None)
    columns: list[tuple[str, Callable[[Row], str | None]]] = [
        ("run", lambda row: row.name),
        ("mIoU %", _miou),
        ("boundary IoU %", lambda row: _number(row.boundary_iou, 2, 100)),
        ("boundary F %", lambda row: _number(row.boundary_f, 2, 100)),
        ("vs alone", lambda row: _points(row.vs_alone)),
        (f"vs {other}", lambda row: _points(row.vs_other)),
        ("gap closed %", lambda row: _number(row.gap_closed, 1, 100)),
        ("steps", lambda row: _number(row.steps, 0)),
        ("seconds", lambda row: _number(row.seconds, 0 if (row.seconds or 0) >= 10 else 1)),
        ("images/s", lambda row: _number(row.images_per_s, 1)),
        ("peak MB", lambda row: _number(row.peak_memory_mb, 0)),
        ("ms/image", lambda row: _number(row.ms_per_image, 1)),
        ("params M", lambda row: _number(row.params, 2, 1e-6)),
        ("seeds", lambda row: f"{len(row.runs)}" + (f", {len(row.failed)} failed" if row.failed else "")),
    ]
    left_out = {"all": (), "scores": _COST, "cost": [header for header, _ in columns[1:] if header not in _COST]}[part]
    filled = [(header, [cell(row) for row in rows]) for header, cell in columns if header not in left_out]
    shown = [(header, cells) for header, cells in filled if any(cell is not None for cell in cells)]
    lines = zip(*(cells for _, cells in shown), strict=True)
    return [header for header, _ in shown], [["-" if cell is None else cell for cell in line] for line in lines]


def _number(value: float | None, digits: int, scale: float = 1.0) -> str | None:
    return None if value is None else f"{scale * value:.{digits}f}"


def _miou(row: Row) -> str | None:
    if row.miou is None:
        return None
    return percent(row.miou) + ("" if row.miou_std is None else f" ± {percent(row.miou_std)}")


def _points(pair: Paired | None) -> str | None:
    if pair is None:
        return None
    if pair.low is None or pair.high is None:
        return points(pair.mean)
    return f"{points(pair.mean)} [{points(pair.low)}, {points(pair.high)}]"


def to_markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown, with the protocols below it; names are escaped."""
    header, cells = table_cells(rows)
    rule = ["---", *["---:"] * (len(header) - 1)]
    lines = [[_plain(name) for name in header], rule, *([_plain(first), *others] for first, *others in cells)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([table, *map(_plain, _notes(rows))]) + "\n"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no second cell."""
    escaped = "".join(f"\\{sign}" if sign in "\\`*_[]<>|#&~$" else sign for sign in text)
    return " ".join(escaped.split())


def to_latex(rows: Sequence[Row]) -> str:
    r"""The table in LaTeX, for the ``booktabs`` package, with the protocols as comments; everything is escaped.

    The text is UTF-8, as LaTeX expects since 2018.
    """
    header, cells = table_cells(rows)
    return "\n".join(
        [
            *(f"% {' '.join(_printable(note).split())}" for note in _notes(rows)),
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            _latex_line([_latex(name) for name in header]),
            r"\midrule",
            *(_latex_line([_latex(first), *map(_latex_number, others)]) for first, *others in cells),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\char34{}"}
_LATEX |= {sign: f"\\{sign}" for sign in "{}$&#_%"}
_LATEX |= {"[": "{[}", "]": "{]}", "*": "{*}"}  # which a line break before them would take for its own


def _latex(text: str) -> str:
    return " ".join("".join(_LATEX.get(sign, sign) for sign in _printable(text)).split())


def _latex_number(text: str) -> str:
    """Our own numbers: signs as mathematics, a dash for what is not known."""
    if text == "-":
        return "--"
    return re.sub(r"([+-])(?=\d)", r"$\1$", text).replace("±", r"$\pm$")


def _latex_line(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _printable(text: str) -> str:
    """Without control characters, of which some end a line or a comment."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def to_csv(rows: Sequence[Row]) -> str:
    """One line a row with raw numbers, scores and differences in [0, 1]; an empty field where one is not known.

    Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    file = io.StringIO()
    flat = [_flat(row) for row in rows]
    writer = csv.DictWriter(file, list(flat[0]) if flat else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _field(value) for key, value in line.items()} for line in flat)
    return file.getvalue()


def _flat(row: Row) -> dict[str, Any]:
    values = _values(row)
    for key in ("vs_alone", "vs_other"):
        pair = values.pop(key) or {}
        values |= {f"{key}_{part}": pair.get(part) for part in ("mean", "std", "low", "high", "n")}
    values.pop("runs")
    return values | {"seeds": " ".join(map(str, row.seeds)), "failed": len(row.failed)}


_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets begin a formula with, also in full width."""


def _field(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = " ".join(_printable(value).split())
    return f"'{text}" if text.startswith(_FORMULA) else text


def to_json(rows: Sequence[Row]) -> str:
    """Every number of the rows, with the score of each seed and the paired differences with their intervals."""
    return json.dumps({"rows": [_values(row) for row in rows]}, indent=2, allow_nan=False) + "\n"


def _values(row: Row) -> dict[str, Any]:
    """A row as plain values, all keys in every row."""
    return {
        "name": row.name,
        "kind": row.kind,
        "model": row.model,
        "method": row.method,
        "protocol": row.protocol,
        **{key: getattr(row, key) for key in _NUMBERS},
        "vs_alone": _pair(row.vs_alone),
        "against": row.against,
        "vs_other": _pair(row.vs_other),
        "seeds": list(row.seeds),
        "failed": list(row.failed),
        "runs": [
            {
                "seed": run.result.seed,
                "miou": run.result.score.miou if run.result.score else None,
                "boundary_iou": boundary.iou if boundary else None,
                "boundary_f": boundary.f if boundary else None,
                "steps": run.result.iterations,
                "seconds": run.result.seconds,
            }
            for run in row.runs
            for boundary in [run.result.score.boundary if run.result.score else None]
        ],
    }


_NUMBERS = (
    *("miou", "miou_std", "boundary_iou", "boundary_f", "alone_miou", "teacher_miou", "gain", "gap_closed", "params"),
    *("ms_per_image", "steps", "seconds", "images_per_s", "peak_memory_mb"),
)


def _pair(pair: Paired | None) -> dict[str, Any] | None:
    if pair is None:
        return None
    numbers = {key: getattr(pair, key) for key in ("mean", "std", "low", "high", "n", "confidence", "decided")}
    return numbers | {"differences": [{"seed": seed, "difference": value} for seed, value in pair.by_seed.items()]}


def _notes(rows: Sequence[Row]) -> list[str]:
    """What stands below a table."""
    pairs = [pair for row in rows for pair in (row.vs_alone, row.vs_other) if pair is not None]
    protocols = dict.fromkeys(f"Protocol: {row.protocol}" for row in rows if row.protocol)
    if not pairs:
        return list(protocols)
    interval = f"{100 * pairs[0].confidence:.0f} % Student-t interval" if any(pair.n > 1 for pair in pairs) else ""
    unit = "Differences: percentage points of mIoU, paired by seed"
    return [f"{unit}, with the {interval}." if interval else f"{unit}; one seed decides nothing.", *protocols]
