"""Every loss on pairs of networks that do not match: the table of docs/layers.md is what happens."""

from pathlib import Path

import pytest
import torch
from torch import nn

from segdistill.distill import Distiller
from segdistill.losses import LOSSES
from segdistill.networks import Teacher, map_classes
from segdistill.util import ArgumentError

PAGE = (Path(__file__).parents[2] / "docs/layers.md").read_text(encoding="utf-8")
BODY = PAGE[PAGE.index("## Which losses fit") :]
LINES = [line.strip("|").split("|") for line in BODY.splitlines() if line.startswith("| `")]
ROWS = [[cell.strip("` ") for cell in cells] for cells in LINES]
PAIRS = {  # width, stride and classes of student and teacher; whether there are labels
    "other widths": ((16, 4, 4), (32, 4, 4), True),
    "other strides": ((32, 8, 4), (32, 4, 4), True),
    "other classes": ((32, 4, 4), (32, 4, 6), True),
    "mapped by `teacher.classes`": ((32, 4, 4), (32, 4, 6), True),
    "images without labels": ((16, 8, 4), (32, 4, 4), False),
}
MAPPED = map_classes(list("abcdef"), list("wxyz"), {"w": ["a", "b"], "x": "c", "z": ["d", "f"]})


def network(width, stride, classes):
    return nn.Sequential(nn.Conv2d(3, width, 3, stride, 1), nn.ReLU(), nn.Conv2d(width, classes, 1))


def test_the_table_has_every_loss_and_what_it_reads():
    assert {name: reads for name, reads, *_ in ROWS} == {name: loss.layer for name, loss in LOSSES.items()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_is_what_happens(row):
    name, _, *cells = row
    for cell, (pair, (student, teacher, labelled)) in zip(cells, PAIRS.items(), strict=True):
        torch.manual_seed(0)
        teaches = Teacher(network(*teacher), classes=MAPPED if pair.startswith("mapped") else None)
        images = torch.rand(2, 3, 64, 96)
        labels = torch.randint(0, 4, (2, 64, 96)) if labelled else None

        def step(student=student, teaches=teaches, images=images, labels=labels):
            learns = network(*student)
            parts = Distiller(learns, [name], teacher=teaches)(images, labels, teaches(images))
            parts.loss.backward()
            return all(parameter.grad is not None for parameter in learns[:1].parameters()) and parts.loss.isfinite()

        if cell == "yes":
            assert step()
        else:
            assert cell == "no"
            with pytest.raises(ArgumentError):
                step()
