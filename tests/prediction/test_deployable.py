import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segdistill.labels import LabelTable
from segdistill.networks import Network
from segdistill.prediction import Deployable, Predictor
from segdistill.types import Preprocessing


@pytest.fixture
def network():
    torch.manual_seed(0)
    table = LabelTable.from_names(["a", "b", "c"])
    return Network(nn.Conv2d(3, 3, 5, stride=2, padding=2), preprocessing=Preprocessing(), labels=table).eval()


def test_logits_at_image_size_and_ids(network):
    image = torch.rand(2, 3, 20, 30)
    logits = Deployable(network)(image)
    expected = F.interpolate(network.segment(image), size=(20, 30), mode="bilinear", align_corners=True)
    assert torch.equal(logits, expected)
    assert torch.equal(Deployable(network, argmax=True)(image), logits.argmax(1))


def test_it_answers_as_the_predictor_does(network):
    pixels = torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8)
    mask = Predictor(network)(pixels)
    assert torch.equal(Deployable(network, argmax=True)((pixels.float() / 255)[None])[0].byte(), mask)


def test_the_image_scale_is_that_of_training(network):
    seen = []
    network.module.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape[-2:])))
    assert Deployable(network, image_scale=0.5)(torch.rand(1, 3, 21, 30)).shape == (1, 3, 21, 30)
    assert seen == [(10, 15)]


def test_it_is_a_module_that_torch_exports(network):
    image = torch.rand(1, 3, 16, 24)
    exported = torch.export.export(Deployable(network, argmax=True).eval(), (image,)).module()
    assert torch.equal(exported(image), Deployable(network, argmax=True)(image))
