"""Run folders in, tables and one HTML file out. Reads files; never loads a network."""

from segdistill.reports.findings.comparison import rows_of
from segdistill.reports.findings.rows import Row, summarise
from segdistill.reports.findings.verdict import caveats, headline
from segdistill.reports.page.write import write_report
from segdistill.reports.reporting import Reported, plain_rows, report
from segdistill.reports.tables import table_cells, to_csv, to_json, to_latex, to_markdown

__all__ = [
    "Reported",
    "Row",
    "caveats",
    "headline",
    "plain_rows",
    "report",
    "rows_of",
    "summarise",
    "table_cells",
    "to_csv",
    "to_json",
    "to_latex",
    "to_markdown",
    "write_report",
]
