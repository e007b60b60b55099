"""The table as plain text of a given width, in which no word is ever broken."""

import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from segdistill.reports.tables.table import Table, printable

_GAP = 2


def to_text(table: Table, width: int) -> str:
    """The table in lines of at most ``width`` signs, as long as no single word is longer.

    Columns are as narrow as their longest word where that is needed; names stay on one line. What still does not fit
    goes into further tables below, each with the names again.

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
        [printable(text) for text in (name, *(line[index].full for line in table.lines))]
        for index, name in enumerate(table.header)
    ]
    if not columns:
        return ""
    first = max(map(len, columns[0]))
    blocks: list[list[list[str]]] = []
    room = -1
    for column in columns[1:] or [[]]:
        least = _GAP + _longest_word(column)
        if least > room:
            blocks.append([])
            room = width - first
        blocks[-1].append(column)
        room -= least
    return "\n\n".join(_block([columns[0], *filter(None, block)], width) for block in blocks)


def _block(columns: Sequence[Sequence[str]], width: int) -> str:
    """One table of whole columns: the first as wide as its names, the others share what is left."""
    widths = [max(map(len, columns[0])), *map(_longest_word, columns[1:])]
    left = width - sum(widths) - _GAP * (len(columns) - 1)
    for index, column in enumerate(columns):
        more = max(0, min(left, max(map(len, column)) - widths[index]))
        widths[index] += more
        left -= more
    lines = [_line(texts, widths) for texts in zip(*columns, strict=True)]
    return "\n".join([lines[0], "─" * (sum(widths) + _GAP * (len(columns) - 1)), *lines[1:]])


def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
    """One line of the table, of several of text where an entry is wrapped: names left, the others right."""
    wrapped = [
        textwrap.wrap(text, size, break_long_words=False, break_on_hyphens=False) if size else []
        for text, size in zip(texts, widths, strict=True)
    ]
    lines = []
    for parts in zip_longest(*wrapped, fillvalue=""):
        cut = [
            part.rjust(size) if index else part.ljust(size)
            for index, (part, size) in enumerate(zip(parts, widths, strict=True))
        ]
        lines.append((" " * _GAP).join(cut).rstrip())
    return "\n".join(lines)


def _longest_word(texts: Sequence[str]) -> int:
    return max((len(word) for text in texts for word in text.split()), default=0)
