import re

import pytest
import torch
from torch import nn

from segdistill import Distiller, Teacher, Term
from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError

IMAGES = torch.rand(2, 3, 8, 8)
LABELS = torch.randint(0, 5, (2, 8, 8))


def make():
    teacher = Teacher(nn.Conv2d(3, 5, 1))
    terms = [Term("kd", options={"labelled_only": True})]
    return Distiller(nn.Conv2d(3, 5, 1), terms, teacher=teacher), teacher


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("channel", [False, True])
def test_labels_of_every_integer_type_are_taken(dtype, channel):
    distiller, teacher = make()
    labels = LABELS.clone()
    labels[0, 0] = IGNORE_INDEX
    expected = distiller(IMAGES, labels, teacher(IMAGES)).parts
    given = labels.to(dtype)[:, None] if channel else labels.to(dtype)
    assert distiller(IMAGES, given, teacher(IMAGES)).parts == expected


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (IMAGES.mul(255).byte(), LABELS, "got torch.uint8 of shape (2, 3, 8, 8). Divide them by 255."),
        (IMAGES[0], LABELS, "`images` must be floating-point numbers (B, 3, H, W)"),
        (IMAGES, LABELS.float(), "`labels` must be integers (B, H, W) for 2 images; got torch.float32"),
        (IMAGES, LABELS.bool(), "got torch.bool of shape (2, 8, 8)."),
        (IMAGES, LABELS[:1], "for 2 images; got torch.int64 of shape (1, 8, 8)."),
        (IMAGES, LABELS[:, None].expand(2, 3, 8, 8), "got torch.int64 of shape (2, 3, 8, 8)."),
        (IMAGES, LABELS + 5, "`labels` must be classes, 0 to 4, or 255 for pixels that do not count; got"),
        (IMAGES, LABELS - 5, "got -"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(images, labels, sentence):
    distiller, teacher = make()
    with pytest.raises(ArgumentError, match=re.escape(sentence)):
        distiller(images, labels, teacher(IMAGES))


def test_a_network_that_is_no_teacher_is_refused():
    network = nn.Conv2d(3, 5, 1)
    with pytest.raises(ArgumentError, match=r"a Teacher, or several by name; got Conv2d\. Wrap the network"):
        Distiller(network, ["kd"], teacher=network)
    with pytest.raises(
        ArgumentError,
        match="`teacher_output` must be what a Teacher answers, a SegOutput, or several by name; got Tensor",
    ):
        Distiller(network, ["kd"])(IMAGES, LABELS, network(IMAGES))
