"""Run folders in, tables and one HTML file out. Reads files; never loads a network."""

from segdistill.reports.comparison import first_runs, read_comparison, rows_of
from segdistill.reports.formats import table_cells, to_csv, to_json, to_latex, to_markdown
from segdistill.reports.html import write_report
from segdistill.reports.table import Row, summarise
from segdistill.reports.verdict import caveats, headline

__all__ = [
    "Row",
    "caveats",
    "first_runs",
    "headline",
    "read_comparison",
    "rows_of",
    "summarise",
    "table_cells",
    "to_csv",
    "to_json",
    "to_latex",
    "to_markdown",
    "write_report",
]
