"""The heads: widths, dilations, resizing, and training with one image."""

import pytest
import torch

from segdistill.networks.zoo.blocks import PooledBatchNorm2d, upsample
from segdistill.networks.zoo.deeplabv3 import DeepLabV3Head
from segdistill.networks.zoo.pspnet import PSPHead

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("in_channels", "aspp", "psp"),
    [(2048, 256, 512), (512, 128, 128), (320, 128, 128), (160, 128, 128), (1024, 128, 256)],
)
def test_widths(in_channels, aspp, psp):
    with torch.device("meta"):
        assert DeepLabV3Head(in_channels, 8).out_channels == aspp
        assert PSPHead(in_channels, 8).out_channels == psp


@pytest.mark.parametrize(("output_stride", "rates"), [(8, [12, 24, 36]), (16, [6, 12, 18]), (32, [3, 6, 9])])
def test_dilations_follow_the_stride(output_stride, rates):
    head = DeepLabV3Head(32, output_stride)
    convolutions = [branch[0] for branch in head.branches]
    assert [layer.dilation for layer in convolutions[1:]] == [(rate, rate) for rate in rates]
    assert [layer.padding for layer in convolutions[1:]] == [(rate, rate) for rate in rates]


@pytest.mark.parametrize("head", [DeepLabV3Head(32, 8), PSPHead(32, 8)])
def test_no_bias_before_a_normalisation(head):
    assert all(m.bias is None for m in head.modules() if isinstance(m, torch.nn.Conv2d))


def test_dropout_is_where_the_authors_have_it():
    def ratios(head):
        return {key: m.p for key, m in head.named_modules() if isinstance(m, torch.nn.Dropout)}

    assert ratios(DeepLabV3Head(32, 8)) == {"project.3": 0.5, "block.3": 0.1}
    assert ratios(PSPHead(32, 8)) == {"block.3": 0.1}


def test_upsample_aligns_corners():
    maps = torch.tensor([[[[0.0, 4.0]]]])
    assert upsample(maps, torch.zeros(1, 1, 1, 5)).flatten().tolist() == [0, 1, 2, 3, 4]


def test_pooled_norm_is_batch_norm_with_two_images():
    torch.manual_seed(0)
    ours, plain = PooledBatchNorm2d(4), torch.nn.BatchNorm2d(4)
    maps = torch.randn(2, 4, 1, 1)
    assert torch.equal(ours(maps), plain(maps))
    assert list(ours.state_dict()) == list(plain.state_dict())
    assert torch.equal(ours.running_mean, plain.running_mean)
    assert torch.equal(ours.eval()(maps[:1]), plain.eval()(maps[:1]))


def test_pooled_norm_uses_the_running_statistics_for_one_value():
    norm = PooledBatchNorm2d(3)
    norm.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    norm.running_var.copy_(torch.tensor([1.0, 4.0, 9.0]))
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    maps = torch.tensor([2.0, 4.0, 9.0]).view(1, 3, 1, 1).requires_grad_()
    result = norm.train()(maps)
    torch.testing.assert_close(result.flatten(), torch.tensor([1.0, 1.0, 2.0]), rtol=1e-4, atol=0)
    result.sum().backward()
    assert maps.grad.all()
    assert norm.weight.grad.all()
    assert all(torch.equal(value, before[key]) for key, value in norm.state_dict().items())
