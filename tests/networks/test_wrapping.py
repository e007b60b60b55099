"""A plain module as a Network: which images it takes is found, said, or left to the first image."""

import logging

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn

from segdistill.distill import Distiller
from segdistill.networks import Network, Teacher, as_network
from segdistill.util import ArgumentError


class Insists(nn.Module):
    """Raises unless both sides are as it likes; works at a quarter of the size."""

    def __init__(self, likes):
        super().__init__()
        self.likes = likes
        self.layer, self.out = nn.Conv2d(3, 8, 3, 4, 1), nn.Conv2d(8, 4, 1)

    def forward(self, image):
        if not self.likes(*image.shape[-2:]):
            raise AssertionError("wrong size")
        return self.out(self.layer(image))


@pytest.mark.parametrize("multiple", [1, 2, 4, 8, 14, 16, 32, 64])
def test_multiples_are_found_and_images_padded(multiple):
    module = Insists(lambda height, width: not (height % multiple or width % multiple))
    network = as_network(module.train(), role="student")
    assert network.preprocessing.multiple == multiple
    assert network.preprocessing.size is None
    assert module.training
    assert network(torch.rand(1, 3, 65, 97)).logits.shape[-2:] == (17, 25) if multiple == 1 else (65, 97)


def test_the_one_size_of_a_network_is_found_and_said(caplog):
    with caplog.at_level(logging.WARNING):
        network = as_network(Insists(lambda height, width: height == width == 384), role="teacher")
    assert network.preprocessing.size == (384, 384)
    assert network.num_classes == 4
    assert "The teacher takes only images of 384x384: others are resized to it." in caplog.messages


def test_a_module_that_takes_no_trial_image_is_left():
    network = as_network(Insists(lambda height, width: height == 99), role="student")
    assert (network.preprocessing.multiple, network.preprocessing.size, network.num_classes) == (1, None, None)


@pytest.mark.parametrize(
    ("make", "multiple", "size"),
    [
        (lambda: smp.FPN("resnet18", encoder_weights=None, classes=4), 32, None),
        (
            lambda: timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=1, dynamic_img_size=True),
            16,
            None,
        ),
        (lambda: timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=1), 1, (224, 224)),
    ],
)
def test_networks_as_they_are(make, multiple, size):
    def logits(output):
        return output if output.dim() == 4 else output[:, :2, None, None]

    network = as_network(make(), role="student", logits=logits)
    assert (network.preprocessing.multiple, network.preprocessing.size) == (multiple, size)


def test_what_is_said_is_taken():
    module = Insists(lambda height, width: not (height % 32 or width % 32))
    assert Teacher(module, multiple=64).network.preprocessing.multiple == 64
    assert Distiller(module, multiple=32).network.preprocessing.multiple == 32
    assert Distiller(module, size=(64, 96)).network.preprocessing.size == (64, 96)
    with pytest.raises(ArgumentError, match="`size` and `multiple` of the teacher must not both be given"):
        Teacher(module, size=(64, 64), multiple=32)
    with pytest.raises(ArgumentError, match="`multiple` must be a whole number, at least 1; got 0"):
        Teacher(module, multiple=0)
    with pytest.raises(ArgumentError, match="`multiple` must be left out for a Network"):
        Teacher(Network(module), multiple=32)


def test_a_step_on_images_that_neither_takes_as_they_are():
    torch.manual_seed(0)
    teacher = Teacher(Insists(lambda height, width: not (height % 14 or width % 14)))
    distiller = Distiller(
        Insists(lambda height, width: not (height % 32 or width % 32)), ["kd", "fitnet"], teacher=teacher
    )
    images, labels = torch.rand(2, 3, 50, 70), torch.randint(0, 4, (2, 50, 70))
    step = distiller(images, labels, teacher(images))
    assert step.student.logits.shape[-2:] == (50, 70)
    assert step.student.features["head"].shape[-2:] == (13, 18)
    assert step.loss.isfinite()
