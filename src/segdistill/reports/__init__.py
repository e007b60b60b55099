"""Run folders in, tables and one HTML file out. Reads files; never loads a network."""

from segdistill.reports.html import write_report
from segdistill.reports.table import Row, summarise, table_cells, to_markdown

__all__ = ["Row", "summarise", "table_cells", "to_markdown", "write_report"]
