import copy
import logging

import pytest
import torch
from timm.layers import BatchNormAct2d, Conv2dSame, StdConv2d
from torch import nn

from segdistill.networks import create_network
from segdistill.networks.folding import fold_batch_norms
from segdistill.util import FoldError


def with_statistics(network):
    """Evaluation mode, with statistics as training leaves them."""
    generator = torch.Generator().manual_seed(1)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
            norm.running_mean.normal_(0, 0.3, generator=generator)
            norm.running_var.uniform_(0.4, 2, generator=generator)
            if norm.affine:
                nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
                nn.init.normal_(norm.bias, 0, 0.3, generator=generator)
    return network.eval()


def image(dtype=torch.float64, size=(12, 14)):
    return torch.rand(1, 3, *size, dtype=dtype, generator=torch.Generator().manual_seed(2))


def fold(network):
    return fold_batch_norms(network, lambda: [network(image())])


class Wired(nn.Module):
    """A convolution, a normalisation, and a forward pass given as a function."""

    def __init__(self, wiring, conv=None, norm=None):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1) if conv is None else conv
        self.norm = nn.BatchNorm2d(3) if norm is None else norm
        self.wiring = wiring

    def forward(self, x):
        return self.wiring(self, x)


def plain(net, x):
    return net.norm(net.conv(x))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"conv": nn.Conv2d(3, 3, 3, bias=False)},
        {"conv": nn.Conv2d(3, 6, 3, groups=3, stride=2), "norm": nn.BatchNorm2d(6)},
        {"conv": Conv2dSame(3, 3, 3, stride=2)},
        {"norm": nn.BatchNorm2d(3, affine=False)},
        {"norm": nn.SyncBatchNorm(3)},
        {"norm": BatchNormAct2d(3, act_layer=nn.SiLU)},
    ],
)
def test_a_folded_pair_gives_what_it_gave(options):
    network = with_statistics(Wired(plain, **copy.deepcopy(options))).double()
    expected = network(image())
    assert fold(network) == 1
    assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules())
    torch.testing.assert_close(network(image()), expected, rtol=1e-12, atol=1e-12)


def test_layers_keep_their_names_and_their_activation():
    network = with_statistics(Wired(plain, norm=BatchNormAct2d(3))).double()
    fold(network)
    assert [name for name, _ in network.named_modules()] == ["", "conv", "norm", "norm.drop", "norm.act"]
    assert isinstance(network.norm.act, nn.ReLU)


def test_a_layer_that_works_in_place_may_follow():
    network = with_statistics(Wired(lambda net, x: nn.functional.relu_(plain(net, x)))).double()
    expected = network(image())
    assert fold(network) == 1
    torch.testing.assert_close(network(image()), expected, rtol=1e-12, atol=1e-12)


def test_a_convolution_that_two_modules_hold_is_replaced_in_both():
    network = Wired(plain)
    network.again = nn.ModuleList([network.conv])
    network = with_statistics(network).double()
    assert fold(network) == 1
    assert network.again[0] is network.conv


def shared_conv(net, x):
    return net.norm(net.conv(x)) + net.conv(2 * x)


def shared_norm(net, x):
    return net.norm(net.conv(x)) + net.norm(x)


def residual(net, x):
    made = net.conv(x)
    return net.norm(made) + made


def through_a_view(net, x):
    made = net.conv(x)
    return net.norm(made) + made.flatten(2).mean(2)[..., None, None]


def not_directly(net, x):
    return net.norm(net.conv(x).relu())


@pytest.mark.parametrize("wiring", [shared_conv, shared_norm, residual, through_a_view, not_directly])
def test_what_others_read_too_is_left(wiring):
    network = with_statistics(Wired(wiring)).double()
    expected = network(image())
    assert fold(network) == 0
    assert torch.equal(network(image()), expected)


def test_a_convolution_whose_output_is_wanted_is_left():
    network = with_statistics(Wired(plain)).double()
    seen = []
    network.conv.register_forward_hook(lambda *args: seen.append(args[-1]))

    def run():
        seen.clear()
        return [network(image()), *seen]

    assert fold_batch_norms(network, run) == 0


@pytest.mark.parametrize(
    "options",
    [{"norm": nn.BatchNorm2d(3, track_running_stats=False)}, {"conv": StdConv2d(3, 3, 3)}],
)
def test_what_has_no_constants_or_other_weights_than_it_shows_is_left(options):
    network = with_statistics(Wired(plain, **options)).double()
    assert fold(network) == 0


def test_training_mode_is_left():
    network = with_statistics(Wired(plain)).double()
    network.norm.train()
    assert fold(network) == 0


def looks_inside(net, x):
    return plain(net, x) * net.conv.weight.abs().sum()


def insists(net, x):
    return plain(net, x) * net.norm.weight.mean()


@pytest.mark.parametrize(("wiring", "reason"), [(looks_inside, "outputs are others"), (insists, "no attribute")])
def test_a_network_that_changes_is_restored_and_says_why(wiring, reason):
    network = with_statistics(Wired(wiring)).double()
    layers, expected = list(network.modules()), network(image())
    with pytest.raises(FoldError, match=reason):
        fold(network)
    assert all(now is before for now, before in zip(network.modules(), layers, strict=True))
    assert torch.equal(network(image()), expected)


def test_a_network_that_does_not_run_says_why():
    with pytest.raises(FoldError, match=r"does not run on a probe image.*expected input"):
        fold(nn.Sequential(nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3)).double().eval())


@pytest.mark.parametrize("name", ["deeplabv3_mobilenetv2_035", "pspnet_resnet18"])
def test_our_networks_fold_entirely(name):
    torch.manual_seed(0)
    network = with_statistics(create_network(name, num_classes=5, options={"output_stride": 16}))
    norms = sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    auxiliary = (
        sum(isinstance(layer, nn.BatchNorm2d) for layer in network.module.aux.modules()) if network.module.aux else 0
    )
    inputs = image(torch.float32, (64, 80))

    def run():
        output = network(inputs)
        return [output.logits, *output.features.values()]

    expected = run()
    assert fold_batch_norms(network, run) == norms > auxiliary
    for now, before in zip(run(), expected, strict=True):
        torch.testing.assert_close(now, before, rtol=1e-4, atol=1e-4 * before.abs().max().item())


def test_a_network_of_torchvision_folds_entirely(caplog):
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    network = with_statistics(lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=5))
    norms = sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    inputs = image(torch.float32, (64, 80))
    with caplog.at_level(logging.WARNING):
        assert fold_batch_norms(network, lambda: [network(inputs)["out"]]) == norms
