import pytest
import torch
from torch import nn

from segdistill.engine import Protocol, as_unit, class_scores
from segdistill.prediction.bands import score_bands

CPU = torch.device("cpu")


@pytest.fixture
def network():
    torch.manual_seed(0)
    with torch.no_grad():
        yield nn.Conv2d(3, 4, 5, stride=2, padding=2)


def banded(network, images, size, protocol):
    return list(score_bands(network, images, size, protocol, CPU))


@pytest.mark.parametrize("shape", [(37, 53), (500, 20), (9, 9)])
@pytest.mark.parametrize("resized", [1, 2, 0.5])
@pytest.mark.parametrize("window", [(16, 16), (24, 40), (200, 200)])
@pytest.mark.parametrize("scales", [(1.0,), (0.75, 1.0, 1.25), (0.5,), (2.0,)])
@pytest.mark.parametrize("flip", [False, True])
def test_bands_are_what_scoring_computes_at_once(network, shape, resized, window, scales, flip):
    images = torch.randint(0, 256, (2, 3, *shape), dtype=torch.uint8)
    size = (round(shape[0] * resized), round(shape[1] * resized))
    protocol = Protocol(scales, flip, window)
    bands = banded(network, images, size, protocol)
    assert torch.allclose(torch.cat(bands, 2), class_scores(network, as_unit(images, CPU), size, protocol), atol=2e-5)
    assert max(band.shape[2] for band in bands) <= 64


def test_windows_of_an_image_at_its_size_are_the_same_bits(network):
    images = torch.randint(0, 256, (1, 3, 70, 50), dtype=torch.uint8)
    protocol = Protocol(window=(24, 16))
    bands = banded(network, images, (70, 50), protocol)
    assert torch.equal(torch.cat(bands, 2), class_scores(network, as_unit(images, CPU), (70, 50), protocol))


def test_no_map_of_all_classes_is_as_high_as_the_image(network):
    seen = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor) and out.dim() == 4 and out.shape[1] == 4:
                seen.append(out.shape[2])
            return out

    images = torch.randint(0, 256, (1, 3, 400, 20), dtype=torch.uint8)
    with Watch():
        for _ in score_bands(network, images, (400, 20), Protocol((0.5, 1.0), True, (20, 20)), CPU):
            pass
    assert seen
    assert max(seen) <= 130
