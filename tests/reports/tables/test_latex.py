import re

import pytest
from tests.reports.tables.cases import EVIL, row

from segdistill.reports import to_latex


def test_latex(compared):
    lines = to_latex(compared).splitlines()
    assert lines[:5] == [
        "% Differences: percentage points of mIoU, paired by seed, with the 95 % Student-t interval.",
        "% Protocol: val, 100 images",
        r"\begin{tabular}{lrrrrrrrrrrrrr}",
        r"\toprule",
        r"run & mIoU \% & boundary IoU \% & boundary F \% & vs alone & vs cwd & gap closed \% & steps & seconds & "
        r"images/s & peak MB & ms/image & params M & seeds \\",
    ]
    assert lines[6].startswith(r"kd & 59.17 $\pm$ 1.04 & 30.00 & 45.00 & $+$8.17 [$+$7.45, $+$8.88] & ")
    assert lines[7] == rf"mgd & {' & '.join(['--'] * 12)} & 0, 2 failed \\"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    assert {line.count(" & ") for line in lines[4:9] if "&" in line} == {13}


@pytest.mark.parametrize("name", EVIL)
def test_names_cannot_break_out_of_latex(name):
    lines = to_latex([row(name, miou=0.5, protocol=name, against=name)]).splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("% Protocol: ")
    body = lines[5].removesuffix(r" \\")
    assert not re.search(r"(?<!\\)[#$%&_]|[\^~|<>\"]", body.replace(" & ", " "))
    assert set(re.findall(r"\\([a-z]+)", body)) <= {
        "textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar", "char",
    }  # fmt: skip
    depth = 0
    for sign in re.sub(r"\\[{}]", "", body):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0


def test_a_latex_line_cannot_begin_with_what_a_line_break_takes():
    assert r"\midrule" + "\n{[}5cm{]}" in to_latex([row("[5cm]", miou=0.5)])
    assert r"\midrule" + "\n{*}x" in to_latex([row("*x", miou=0.5)])
