import types

import pytest
import torch
from torch import nn

from segdistill.networks.taps import Normalise, Tapped, as_map, find_logits, resize_logits
from segdistill.types import SegOutput
from segdistill.util import NetworkError


def tapped(network, **options):
    missing = dict.fromkeys(("features", "logits", "mean", "std", "size"))
    return Tapped(network, **{"role": "student", "bgr": False} | missing | options)


def small():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1))


def test_normalise_applies_mean_then_std_in_the_networks_channel_order():
    image = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1)
    rgb = Normalise((0.1, 0.2, 0.3), (0.5, 0.25, 0.1))(image)
    assert torch.allclose(rgb.flatten(), torch.tensor([0.2, 0.8, 3.0]))
    bgr = Normalise((0.1, 0.2, 0.3), None, bgr=True)(image)
    assert torch.allclose(bgr.flatten(), torch.tensor([0.5, 0.2, -0.1]))
    assert Normalise(None, None)(image) is image


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: x,
        lambda x: {"out": x, "aux": 2 * x},
        lambda x: {"logits": x},
        lambda x: types.SimpleNamespace(logits=x),
        lambda x: (x, "more"),
        lambda x: SegOutput(x),
    ],
)
def test_find_logits_understands_common_outputs(wrap):
    logits = torch.randn(2, 5, 4, 4)
    assert find_logits(wrap(logits)) is logits


@pytest.mark.parametrize("output", [torch.zeros(2, 5), {"masks": torch.zeros(1)}, "text", []])
def test_find_logits_refuses_other_outputs_and_says_what_to_give(output):
    with pytest.raises(NetworkError, match="Give `logits=`"):
        find_logits(output)


def test_as_map_lays_tokens_out_row_by_row_and_drops_a_class_token():
    grid = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    tokens = grid.flatten(2).transpose(1, 2)
    assert torch.equal(as_map(tokens, (64, 96), "x"), grid)
    with_class = torch.cat([torch.full((2, 1, 3), 9.0), tokens], 1)
    assert torch.equal(as_map(with_class, (64, 96), "x"), grid)
    assert as_map((grid, None), (64, 96), "x") is grid
    with pytest.raises(NetworkError, match="got \\(2, 3\\)"):
        as_map(torch.zeros(2, 3), (64, 96), "layer 'fc'")


def test_taps_give_the_layers_output_and_leave_no_hook_behind():
    network = small().eval()
    tap = tapped(network, features={"first": "0"})
    image = torch.rand(2, 3, 8, 10)
    output = tap(network, image)
    assert torch.equal(output.features["first"], network[0](image))
    assert torch.equal(output.logits, network(image))
    assert not any(module._forward_hooks for module in network.modules())


def test_hooks_are_removed_when_the_network_fails():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            raise RuntimeError("no " + str(self.conv(x).shape))

    network = Fails()
    tap = tapped(network, features={"x": "conv"})  # the probe fails quietly
    assert tap.channels == {}
    with pytest.raises(RuntimeError, match="no "):
        tap(network, torch.rand(1, 3, 4, 4))
    assert not network.conv._forward_hooks


def test_probe_finds_widths_and_changes_nothing():
    network = small()
    network[1].eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    state = torch.get_rng_state()
    tap = tapped(network, features=["0"])
    assert tap.channels == {"0": 4}
    assert tap.num_classes == 5
    assert network[0].training
    assert not network[1].training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_unknown_layer_names_the_nearest():
    with pytest.raises(NetworkError, match=r"got 'backbone.layr4'.*backbone\.layer4"):
        tapped(
            nn.ModuleDict({"backbone": nn.ModuleDict({"layer4": nn.Conv2d(3, 4, 1)})}),
            features={"deep": "backbone.layr4"},
        )


def test_a_layer_that_does_not_run_is_named():
    network = nn.Sequential(nn.Conv2d(3, 5, 1))
    network.unused = nn.Identity()
    network.forward = lambda x: network[0](x)
    with pytest.raises(NetworkError, match="'unused' of the student did not run"):
        tapped(network, features={"x": "unused"})


def test_published_features_are_used_without_a_probe():
    class Ours(nn.Module):
        feature_channels = {"layer4": 7}  # noqa: RUF012
        num_classes = 3
        calls = 0

        def forward(self, x):
            self.calls += 1
            return SegOutput(x[:, :1].expand(-1, 3, -1, -1), None, {"layer4": x.repeat(1, 3, 1, 1)[:, :7]})

    network = Ours()
    tap = tapped(network, features={"deep": "layer4"})
    assert (tap.channels, tap.num_classes, network.calls) == ({"deep": 7}, 3, 0)
    assert tap(network, torch.rand(1, 3, 4, 4)).features["deep"].shape == (1, 7, 4, 4)


def test_input_size_is_the_networks():
    network = nn.Conv2d(3, 5, 1)
    assert tapped(network, size=(12, 20))(network, torch.rand(1, 3, 30, 50)).logits.shape == (1, 5, 12, 20)


def test_resize_logits_keeps_corners():
    logits = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    big = resize_logits(logits, (5, 5))
    assert [big[0, 0, y, x].item() for y, x in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))] == [0, 1, 2, 3, 1.5]
    assert resize_logits(logits, (2, 2)) is logits
