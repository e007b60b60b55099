"""The verb: one HTML file, and a table, for runs or a comparison."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from segdistill import store
from segdistill.reports.findings.comparison import rows_of
from segdistill.reports.findings.row import Row
from segdistill.reports.findings.rows import summarise
from segdistill.reports.page.write import write_report
from segdistill.reports.tables.markdown import to_markdown
from segdistill.reports.tables.raw import to_json
from segdistill.store import read_comparison
from segdistill.util import ArgumentError, as_path, verb


class Reported(NamedTuple):
    """What was written.

    Attributes:
        file: The report.
        rows: Of its table.
    """

    file: Path
    rows: list[Row]

    def frame(self) -> list[dict[str, Any]]:
        """A row a method, seeds averaged: ``name``, ``miou``, ``miou_std``, ``vs_alone``, ``seconds``, ..."""
        return plain_rows(self.rows)


def plain_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of a table as plain values, as ``table.json`` has them."""
    return list(json.loads(to_json(rows))["rows"])


@verb
def report(
    runs: str | Path | Sequence[str | Path],
    out: str | Path = "report.html",
    *,
    markdown: str | Path | None = None,
) -> Reported:
    """One HTML file for one or several runs; runs of one name are seeds of one row.

    Args:
        runs: Complete run folders, or the folder of a comparison.
        out: The HTML file.
        markdown: Also write the table to this file.

    Raises:
        SegdistillError: If a folder is no complete run, or a file of it is damaged.

    Example:
        ``sd.report(["runs/teacher", "runs/student"], "report.html").frame()`` gives the table.
    """
    given = [runs] if isinstance(runs, (str, Path)) else runs
    if not isinstance(given, (list, tuple)):
        raise ArgumentError(f"`runs` must be a folder or a list of folders; got {runs!r}.")
    folders, file = [as_path("runs", run) for run in given], as_path("out", out)
    whole = len(folders) == 1 and (folders[0] / store.COMPARISON).is_file()
    comparison = read_comparison(folders[0]) if whole else None
    rows = summarise(folders) if comparison is None else rows_of(comparison)
    write_report(rows, file, comparison)
    if markdown is not None:
        store.write_text(as_path("markdown", markdown), to_markdown(rows))
    return Reported(file, rows)
