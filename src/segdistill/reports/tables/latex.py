r"""The table in LaTeX. Names come from run folders and may hold anything, so they are escaped."""

from collections.abc import Sequence

from segdistill.reports.findings.row import Row
from segdistill.reports.tables.table import Entry, make_table, notes, printable

_SIGNS = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SIGNS |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\char34{}"}
_SIGNS |= {sign: f"\\{sign}" for sign in "{}$&#_%"}
_SIGNS |= {"[": "{[}", "]": "{]}", "*": "{*}"}  # which a line break before them would take for its own

_MATH = str.maketrans({"+": "$+$", "-": "$-$", "±": r"$\pm$"})


def to_latex(rows: Sequence[Row]) -> str:
    r"""The table in LaTeX, for the ``booktabs`` package, with the protocols as comments; everything is escaped.

    The text is UTF-8, as LaTeX expects since 2018.
    """
    table = make_table(rows)
    return "\n".join(
        [
            *(f"% {printable(note)}" for note in notes(rows)),
            rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
            r"\toprule",
            _line([_words(name) for name in table.header]),
            r"\midrule",
            *(_line([_entry(entry) for entry in line]) for line in table.lines),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _entry(entry: Entry) -> str:
    """A name escaped, a number with its signs as mathematics, a dash for what is not known."""
    if entry.value is None:
        return "--"
    return _words(entry.text) if isinstance(entry.value, str) else entry.full.translate(_MATH)


def _words(text: str) -> str:
    return "".join(_SIGNS.get(sign, sign) for sign in printable(text))


def _line(entries: Sequence[str]) -> str:
    return f"{' & '.join(entries)} \\\\"
