"""Run folders in, tables and one HTML file out. Reads files; never loads a network."""

from segdistill.reports.findings.comparison import rows_of
from segdistill.reports.findings.row import Row
from segdistill.reports.findings.rows import summarise
from segdistill.reports.findings.verdict import caveats, headline
from segdistill.reports.page.write import write_report
from segdistill.reports.reporting import Reported, plain_rows, report
from segdistill.reports.tables.latex import to_latex
from segdistill.reports.tables.markdown import to_markdown
from segdistill.reports.tables.raw import to_csv, to_json
from segdistill.reports.tables.table import Entry, Table, make_table
from segdistill.reports.tables.terminal import to_text

__all__ = [
    "Entry",
    "Reported",
    "Row",
    "Table",
    "caveats",
    "headline",
    "make_table",
    "plain_rows",
    "report",
    "rows_of",
    "summarise",
    "to_csv",
    "to_json",
    "to_latex",
    "to_markdown",
    "to_text",
    "write_report",
]
