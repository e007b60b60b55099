import pytest
import torch
from torch import nn

from segdistill.labels import LabelTable
from segdistill.networks.feeding import resize_logits
from segdistill.networks.network import Network
from segdistill.networks.wrapping import as_network
from segdistill.types import AS_IT_IS, SegOutput
from segdistill.util import ArgumentError, NetworkError


def tapped(module, **options):
    return Network(module, role="student", **options)


def small():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1))


def test_taps_give_the_layers_output_and_leave_no_hook_behind():
    network = small().eval()
    tap = tapped(network, features={"first": "0"})
    image = torch.rand(2, 3, 8, 10)
    output = tap(image)
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
        tap(torch.rand(1, 3, 4, 4))
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


class Naming(nn.Module):
    """A module that names a feature itself and counts its calls."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return SegOutput(x[:, :1].expand(-1, 3, -1, -1), None, {"layer4": x.repeat(1, 3, 1, 1)[:, :7]})


def test_features_that_the_module_names_are_found_by_a_trial_run():
    network = Network(Naming())
    assert (network.channels, network.num_classes) == ({"layer4": 7}, 3)
    assert Network(Naming(), features={"deep": "layer4"}).channels == {"deep": 7}


def test_what_is_known_spares_the_trial_run():
    module = Naming()
    network = Network(module, features={"deep": "layer4"}, channels={"layer4": 7}, num_classes=3)
    assert (network.channels, network.num_classes, module.calls) == ({"deep": 7}, 3, 0)
    assert network(torch.rand(1, 3, 4, 4)).features["deep"].shape == (1, 7, 4, 4)


def test_input_size_is_the_networks():
    network = tapped(nn.Conv2d(3, 5, 1), preprocessing=AS_IT_IS._replace(size=(12, 20)))
    assert network(torch.rand(1, 3, 30, 50)).logits.shape == (1, 5, 12, 20)


def test_a_network_that_wants_multiples_gives_logits_and_maps_of_the_image():
    class Picky(nn.Sequential):
        def forward(self, x):
            assert not any(side % 32 for side in x.shape[-2:])
            return super().forward(x)

    module = Picky(nn.Conv2d(3, 4, 8, stride=8), nn.Conv2d(4, 5, 1))
    network = tapped(module, features={"deep": "0"}, preprocessing=AS_IT_IS._replace(multiple=32))
    image = torch.rand(2, 3, 40, 64)
    output = network(image)
    padded = nn.functional.pad(image, (0, 0, 0, 24))
    assert output.logits.shape == (2, 5, 40, 64)
    assert torch.equal(output.logits, resize_logits(module(padded), (64, 64))[..., :40, :])
    assert torch.equal(output.features["deep"], module[0](padded)[..., :5, :])


def test_the_same_module_can_be_read_for_more():
    network = Network(small(), features={"first": "0"}, labels=LabelTable.from_names(list("abcde")), spec=None)
    more = network.reading({"last": "2"})
    assert (more.module, more.labels) == (network.module, network.labels)
    assert more.channels == {"first": 4, "last": 5}
    assert network.channels == {"first": 4}


def test_a_label_table_of_another_length_is_refused():
    with pytest.raises(NetworkError, match="must name its 5 classes; its label table has 2"):
        Network(small(), labels=LabelTable.from_names(["a", "b"]))


def test_bytes_are_no_images():
    with pytest.raises(ArgumentError, match=r"must be floating point in \[0, 1\]; got torch.uint8. Divide by 255"):
        Network(small())(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


@pytest.mark.parametrize("model", ["resnet18", None, {"module": 1}])
def test_what_is_no_module_is_refused(model):
    with pytest.raises(ArgumentError, match="must be a torch module or a Network; got"):
        as_network(model, role="teacher")


def test_a_network_is_not_told_again_how_it_is_fed():
    network = Network(small())
    assert as_network(network, role="student") is network
    assert as_network(network, role="student", features=["0"]).channels == {"0": 4}
    with pytest.raises(ArgumentError, match="`mean`, `bgr` must be left out for a Network"):
        as_network(network, role="student", mean=(0.0,) * 3, bgr=True)
    with pytest.raises(ArgumentError, match="must be a plain torch module; got Network"):
        Network(network)


def test_a_network_shows_itself_in_one_line():
    assert repr(Network(small())) == "Network(Sequential, 5 classes, 0.00 M parameters)"


def test_certainty_is_cut_with_the_logits():
    class Sure(nn.Module):
        def forward(self, image):
            logits = image[:, :2] * 1.0
            return SegOutput(logits, None, {}, logits[:, 0])

    network = Network(Sure(), preprocessing=AS_IT_IS._replace(multiple=8))
    image = torch.rand(1, 3, 13, 20)
    output = network(image)
    assert torch.equal(output.certainty, image[:, 0])
    assert torch.equal(network(image[..., :8, :8]).certainty, image[:, 0, :8, :8])
