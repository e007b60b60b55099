"""What of a student nobody learns from."""

import pytest
import torch
from torch import nn

from segdistill import Distiller, Term
from segdistill.distill import unread_parameters
from segdistill.types import SegOutput


class Student(nn.Module):
    """Logits, auxiliary logits, and a branch of its own for a feature."""

    def __init__(self):
        super().__init__()
        self.feature_channels, self.num_classes = {"deep": 4, "side": 2}, 5
        self.body, self.head, self.aux, self.side = (nn.Conv2d(*width, 1) for width in ((3, 4), (4, 5), (4, 5), (4, 2)))
        self.idle = nn.Parameter(torch.zeros(1))  # leads nowhere

    def forward(self, image):
        deep = self.body(image)
        return SegOutput(self.head(deep), self.aux(deep), {"deep": deep, "side": self.side(deep)})


def unread(terms=(), **options):
    distiller = Distiller(Student(), terms, **options)
    wanted = {id(parameter) for parameter in unread_parameters(distiller)}
    return {name for name, parameter in distiller.student.named_parameters() if id(parameter) in wanted}


AUX, SIDE = {"aux.weight", "aux.bias"}, {"side.weight", "side.bias"}


@pytest.mark.parametrize(
    ("terms", "aux_weight", "expected"),
    [
        ((), 0.4, SIDE),
        ((), 0.0, AUX | SIDE),
        ((Term("kd", layer="aux_logits"),), 0.0, SIDE),
        ((Term("at", layer="side", weight=1.0),), 0.0, AUX),
        ((Term("at", layer=["deep", "side"], weight=1.0),), 0.4, set()),
    ],
)
def test_it_leads_to_outputs_that_no_loss_reads(terms, aux_weight, expected):
    assert unread(terms, aux_weight=aux_weight) == expected


def test_looking_leaves_the_student_as_it_was():
    distiller = Distiller(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1)))
    before = {name: tensor.clone() for name, tensor in distiller.state_dict().items()}
    assert unread_parameters(distiller) == []
    assert distiller.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in distiller.state_dict().items())
    assert all(parameter.grad is None for parameter in distiller.parameters())


def test_a_student_that_takes_no_small_image_keeps_all():
    class Picky(Student):
        def forward(self, image):
            if image.shape[-1] != 40:
                raise ValueError(image.shape)
            return super().forward(image)

    assert unread_parameters(Distiller(Picky(), aux_weight=0.0)) == []
