"""Rows whose names attack every format."""

from segdistill.reports import Row

EVIL = [
    "a|b\n<script>*x*",
    "=HYPERLINK(1)",
    "\u200b=1+1",
    " \t@cmd",
    "\uff1d1",
    "-1",
    '"; "x',
    "\\input{/etc/passwd}",
    "%\n\\bad",
    "[a](b)",
    "$x^2_~#&{}",
]


def row(name="kd", **fields):
    return Row(name, "distilled", model="small", method="KD", **fields)
