import re

import pytest
from tests.reports.tables.cases import EVIL, row

from segdistill.reports import summarise, to_markdown


def test_markdown(compared):
    text = to_markdown(compared)
    lines = text.splitlines()
    assert lines[0].startswith("| run | mIoU % | boundary IoU % |")
    assert lines[1] == f"| --- | {' | '.join(['---:'] * 13)} |"
    assert lines[2].startswith("| kd | 59.17 ± 1.04 | 30.00 | 45.00 | +8.17 [+7.45, +8.88] |")
    assert {line.count("|") for line in lines[:5]} == {15}
    assert "Differences: percentage points of mIoU, paired by seed, with the 95 % Student-t interval." in text
    assert text.endswith("\n\nProtocol: val, 100 images\n")


def test_markdown_of_one_seed_says_that_it_decides_nothing(three_runs):
    text = to_markdown(summarise(three_runs))
    assert "| distilled | 58.00 | +8.00 | 40.0 | 300 | 63 | 6.2 | 0.62 | 1 |" in text
    assert "paired by seed; one seed decides nothing." in text


@pytest.mark.parametrize("name", EVIL)
def test_names_cannot_break_out_of_markdown(name):
    lines = to_markdown([row(name, miou=0.5, protocol=name)]).splitlines()
    assert len(re.findall(r"(?<!\\)\|", lines[2])) == 4
    assert not re.search(r"(?<!\\)[<>*_`&~$\[\]]", lines[2] + lines[-1])
    assert len(lines) == 5
