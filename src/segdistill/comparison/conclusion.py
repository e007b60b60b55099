"""What a comparison ends with: tables in every format, and the report."""

from pathlib import Path

from segdistill import store
from segdistill.comparison.gallery import write_galleries
from segdistill.comparison.latency import measure_latencies
from segdistill.comparison.planning import NO_OWN, Own
from segdistill.reports import Row, rows_of, to_csv, to_json, to_latex, to_markdown, write_report
from segdistill.store import read_comparison


def conclude(folder: Path, own: Own = NO_OWN) -> list[Row]:
    """Write ``table.md``, ``.tex``, ``.csv``, ``.json`` and ``report.html`` from the runs that are done.

    Args:
        folder: Of a comparison.
        own: Networks of the user's that its runs are of.

    Returns:
        The rows of the table.

    Raises:
        RunError: If the folder holds no comparison, or no run of it is complete.
    """
    write_galleries(folder, own)
    measure_latencies(folder, own.student)
    comparison = read_comparison(folder)
    rows = rows_of(comparison)
    for suffix, render in (("md", to_markdown), ("tex", to_latex), ("csv", to_csv), ("json", to_json)):
        store.write_text(folder / f"{store.TABLE}.{suffix}", render(rows))
    write_report(rows, folder / store.REPORT, comparison)
    return rows
