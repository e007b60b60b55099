"""The table in Markdown. Names come from run folders and may hold anything, so they are escaped."""

from collections.abc import Sequence

from segdistill.reports.findings.row import Row
from segdistill.reports.tables.table import make_table, notes


def to_markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown, with the protocols below it."""
    table = make_table(rows)
    rule = ["---", *["---:"] * (len(table.header) - 1)]
    body = [[_plain(first.text), *(entry.full for entry in others)] for first, *others in table.lines]
    lines = [[_plain(name) for name in table.header], rule, *body]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([text, *map(_plain, notes(rows))]) + "\n"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no further column."""
    escaped = "".join(f"\\{sign}" if sign in "\\`*_[]<>|#&~$" else sign for sign in text)
    return " ".join(escaped.split())
