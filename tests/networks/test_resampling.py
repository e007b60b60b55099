"""Layers whose sizes a graph can hold: the same numbers as those that they stand for, at every size."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import nn

from segdistill.networks.resampling import MatrixPool, SameConv, made_portable, scaled, shrink

SIZES = [(97, 131), (36, 48), (33, 64), (5, 7), (1, 3)]


@pytest.mark.parametrize("scale", [0.5, 0.25, 0.75, 1.5, 0.3])
def test_a_side_is_rounded_as_python_does(scale):
    assert [scaled(side, scale) for side in range(1, 3000)] == [max(1, round(side * scale)) for side in range(1, 3000)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [0.5, 0.3, 0.75, 1.5])
def test_shrinking_is_torch_s_antialiased_resize(size, scale):
    image = torch.rand(2, 3, *size, dtype=torch.float64)
    to = [scaled(side, scale) for side in size]
    expected = F.interpolate(image, size=to, mode="bilinear", align_corners=False, antialias=True)
    torch.testing.assert_close(shrink(image, scale), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("to", [1, 2, 3, 6, (2, 3), (None, 1)])
def test_pooling_is_torch_s(size, to):
    image = torch.randn(2, 3, *size)
    torch.testing.assert_close(MatrixPool(to)(image), nn.AdaptiveAvgPool2d(to)(image), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("size", [(8, 9), (9, 8), (7, 7), (12, 16), (2, 3)])
def test_a_same_convolution_is_timm_s_to_the_bit(kernel, groups, size):
    conv = Conv2dSame(4, 8, kernel, stride=2, groups=groups)
    image = torch.randn(2, 4, *size)
    assert SameConv.fits(conv)
    assert torch.equal(SameConv(conv)(image), conv(image))


def test_only_what_needs_it_is_replaced():
    network = nn.Sequential(
        nn.Sequential(Conv2dSame(3, 4, 3, stride=2), nn.Conv2d(4, 4, 3, padding=1)),
        Conv2dSame(4, 4, 2, stride=2),
        nn.AdaptiveAvgPool2d(2),
    )
    image = torch.randn(1, 3, 13, 18)
    expected = network(image)
    made_portable(network)
    kinds = [type(layer).__name__ for layer in (network[0][0], network[0][1], network[1], network[2])]
    assert kinds == ["SameConv", "Conv2d", "Conv2dSame", "MatrixPool"]
    torch.testing.assert_close(network(image), expected)
