"""The table of a report: entries that keep their number beside its text, so that nothing is read back from text."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from segdistill.metrics import Paired
from segdistill.reports.findings.gap import untold_shares
from segdistill.reports.findings.row import Row
from segdistill.reports.findings.units import percent, points

COST = ("steps", "seconds", "images/s", "peak MB", "ms/image", "params M")


class Entry(NamedTuple):
    """What stands in one column of one line.

    Attributes:
        value: What it is sorted by: a number, or a name; None where nothing is known.
        text: As it is shown; ``-`` where nothing is known.
        detail: Shown after it, smaller where that can be: the interval of a difference.
    """

    value: float | str | None
    text: str
    detail: str = ""

    @property
    def full(self) -> str:
        """Text and detail.

        >>> Entry(0.0812, "+8.12", "[+7.45, +8.88]").full
        '+8.12 [+7.45, +8.88]'
        """
        return f"{self.text} {self.detail}" if self.detail else self.text


class Table(NamedTuple):
    """Names of the columns, and lines of as many entries; the first of each is a name."""

    header: list[str]
    lines: list[list[Entry]]
    title: str = ""


UNKNOWN = Entry(None, "-")


def make_table(rows: Sequence[Row], part: Literal["all", "scores", "cost"] = "all") -> Table:
    """The table of some rows; a column in which nothing is known is left out.

    Differences are in percentage points, with their 95 % interval over seeds.

    Args:
        rows: Of the table.
        part: Scores and cost apart, each with the names of the runs, fit a terminal.

    Example:
        >>> table = make_table([Row("kd", "distilled", miou=0.5, miou_std=0.01)])
        >>> table.header, [entry.text for entry in table.lines[0]]
        (['run', 'mIoU %', 'seeds'], ['kd', '50.00 ± 1.00', '0'])
    """
    other = next((row.against for row in rows if row.against is not None), None)
    columns: list[tuple[str, Callable[[Row], Entry]]] = [
        ("run", lambda row: Entry(row.name, row.name)),
        ("mIoU %", _miou),
        ("boundary IoU %", lambda row: number(row.boundary_iou, 2, 100)),
        ("boundary F %", lambda row: number(row.boundary_f, 2, 100)),
        ("vs alone", lambda row: _difference(row.vs_alone)),
        (f"vs {other}", lambda row: _difference(row.vs_other)),
        ("gap closed %", lambda row: number(row.gap_closed, 1, 100)),
        ("steps", lambda row: number(row.steps, 0)),
        ("seconds", lambda row: number(row.seconds, 0 if (row.seconds or 0) >= 10 else 1)),
        ("images/s", lambda row: number(row.images_per_s, 1)),
        ("peak MB", lambda row: number(row.peak_memory_mb, 0)),
        ("ms/image", lambda row: number(row.ms_per_image, 1)),
        ("params M", lambda row: number(row.params, 2, 1e-6)),
        ("seeds", _seeds),
    ]
    left_out = {"all": (), "scores": COST, "cost": [header for header, _ in columns[1:] if header not in COST]}[part]
    filled = [(header, [make(row) for row in rows]) for header, make in columns if header not in left_out]
    shown = [(header, entries) for header, entries in filled if any(entry.value is not None for entry in entries)]
    lines = zip(*(entries for _, entries in shown), strict=True)
    return Table([header for header, _ in shown], [list(line) for line in lines])


def number(value: float | None, digits: int, scale: float = 1.0) -> Entry:
    """An entry of so many digits after the point; ``scale`` turns the value into the unit of its column.

    >>> number(0.5, 1, 100), number(None, 1)
    (Entry(value=50.0, text='50.0', detail=''), Entry(value=None, text='-', detail=''))
    """
    return UNKNOWN if value is None else Entry(scale * value, f"{scale * value:.{digits}f}")


def _miou(row: Row) -> Entry:
    if row.miou is None:
        return UNKNOWN
    deviation = "" if row.miou_std is None else f" ± {percent(row.miou_std)}"
    return Entry(100 * row.miou, percent(row.miou) + deviation)


def _difference(pair: Paired | None) -> Entry:
    if pair is None:
        return UNKNOWN
    if pair.low is None or pair.high is None:
        return Entry(100 * pair.mean, points(pair.mean))
    return Entry(100 * pair.mean, points(pair.mean), f"[{points(pair.low)}, {points(pair.high)}]")


def _seeds(row: Row) -> Entry:
    return Entry(len(row.runs), f"{len(row.runs)}" + (f", {len(row.failed)} failed" if row.failed else ""))


def notes(rows: Sequence[Row]) -> list[str]:
    """What stands below a table: what its differences are, why a share of the gap is missing, and the protocols."""
    pairs = [pair for row in rows for pair in (row.vs_alone, row.vs_other) if pair is not None]
    protocols = dict.fromkeys(f"Protocol: {row.protocol}" for row in rows if row.protocol)
    if not pairs:
        return [*untold_shares(rows), *protocols]
    interval = f"{100 * pairs[0].confidence:.0f} % Student-t interval" if any(pair.n > 1 for pair in pairs) else ""
    unit = "Differences: percentage points of mIoU, paired by seed"
    difference = f"{unit}, with the {interval}." if interval else f"{unit}; one seed decides nothing."
    return [difference, *untold_shares(rows), *protocols]


def printable(text: str) -> str:
    """Without control characters, of which some end a line or a comment, and without double spaces."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
