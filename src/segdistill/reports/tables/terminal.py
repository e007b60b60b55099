"""The table as plain text of a given width, in which no name, number or interval is ever broken."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import TypeAlias

from segdistill.reports.tables.table import Table, printable

Pieces: TypeAlias = list[str]
"""What may stand on lines of its own: the words of a heading, a number, its interval."""
Column: TypeAlias = list[Pieces]

_GAP = 2


def to_text(table: Table, width: int) -> str:
    """The table in lines of at most ``width`` signs, as long as no single name or number is longer.

    Headings are wrapped between words, and an interval goes below its number. What still does not fit goes into
    further tables below, each with the names again.

    Example:
        >>> from segdistill.reports.tables.table import Entry
        >>> table = Table(["run", "mIoU %", "seeds"], [[Entry("kd", "kd"), Entry(50.0, "50.00"), Entry(3, "3")]])
        >>> print(to_text(table, 20))
        run  mIoU %  seeds
        ──────────────────
        kd    50.00      3
        >>> print(to_text(table, 12))
        run  mIoU %
        ───────────
        kd    50.00
        <BLANKLINE>
        run  seeds
        ──────────
        kd       3
    """
    columns = [
        [printable(name).split(), *([printable(text) for text in line[index][1:] if text] for line in table.lines)]
        for index, name in enumerate(table.header)
    ]
    if not columns:
        return ""
    names, blocks, room = columns[0], list[list[Column]](), 0
    for column in columns[1:] or [[]]:
        least = _GAP + _least(column)
        if not blocks or least > room:
            blocks.append([])
            room = width - _wanted(names)
        blocks[-1].append(column)
        room -= least
    return "\n\n".join(_block([names, *filter(None, block)], width) for block in blocks)


def _block(columns: Sequence[Column], width: int) -> str:
    """One table of whole columns: the first as wide as its names, the others share what is left."""
    widths = [_wanted(columns[0]), *map(_least, columns[1:])]
    left = width - sum(widths) - _GAP * (len(columns) - 1)
    for index, column in enumerate(columns):
        more = max(0, min(left, _wanted(column) - widths[index]))
        widths[index] += more
        left -= more
    lines = [_line(pieces, widths) for pieces in zip(*columns, strict=True)]
    return "\n".join([lines[0], "─" * (sum(widths) + _GAP * (len(columns) - 1)), *lines[1:]])


def _line(entries: Sequence[Pieces], widths: Sequence[int]) -> str:
    """One line of the table, several of text where an entry is wrapped: names to the left, the others to the right."""
    wrapped = [_wrap(pieces, size) for pieces, size in zip(entries, widths, strict=True)]
    lines = []
    for parts in zip_longest(*wrapped, fillvalue=""):
        name, *others = zip(parts, widths, strict=True)
        lines.append((" " * _GAP).join([name[0].ljust(name[1]), *(text.rjust(size) for text, size in others)]).rstrip())
    return "\n".join(lines)


def _wrap(pieces: Pieces, size: int) -> list[str]:
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1]) + 1 + len(piece) <= size:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines


def _least(column: Column) -> int:
    """Width of the longest piece."""
    return max((len(piece) for pieces in column for piece in pieces), default=0)


def _wanted(column: Column) -> int:
    """Width at which nothing is wrapped."""
    return max((len(" ".join(pieces)) for pieces in column), default=0)
