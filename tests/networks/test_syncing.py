"""Normalisations that count the images of all processes. In evaluation mode they run on a CPU, which is where
outputs are compared."""

import pytest
import torch
from tests.conftest import SMALL
from torch import nn

from segdistill.networks import Network, create_network, synchronise_norms
from segdistill.util import NetworkError


class NormReLU(nn.BatchNorm2d):
    """What networks of in-place normalisation have: an activation inside."""

    def forward(self, x):
        return super().forward(x).relu()


class OwnNorm(nn.BatchNorm2d):
    """Somebody's class that only normalises."""


def foreign(norm):
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, padding=1), norm(8), nn.Conv2d(8, 5, 1)
    return Network(nn.Sequential(*layers), features={"deep": "1"}, role="student")


def statistics(network):
    """Running statistics as after some training: a normalisation that is left out would show."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2)
    return network.eval()


def norms(network):
    return [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]


@pytest.mark.parametrize("name", [SMALL, "deeplabv3_resnet18"])
def test_the_zoo_keeps_its_activations(name):
    network = statistics(create_network(name, num_classes=5, options={"output_stride": 16}))
    image, parameters = torch.rand(1, 3, 64, 64), list(network.parameters())
    before, state = network(image), network.state_dict()
    synchronise_norms(network, network)
    after = network(image)
    torch.testing.assert_close(after, before)
    assert norms(network)
    assert all(isinstance(layer, nn.SyncBatchNorm) for layer in norms(network))
    assert all(one is other for one, other in zip(network.parameters(), parameters, strict=True))  # the optimizer's
    assert state.keys() == network.state_dict().keys()


def test_torchs_own_conversion_would_not_keep_them():
    network = statistics(create_network(SMALL, num_classes=5, options={"output_stride": 16}))
    image = torch.rand(1, 3, 64, 64)
    before = network(image).logits
    nn.SyncBatchNorm.convert_sync_batchnorm(network)
    assert (network(image).logits - before).abs().max() > before.abs().max()


def test_a_foreign_network_that_would_change_is_refused():
    network = statistics(foreign(NormReLU))
    with pytest.raises(NetworkError, match=r"the student's outputs must be the same .* \(`NormReLU`\).*freeze_bn=true"):
        synchronise_norms(network, network)


def test_a_foreign_network_that_stays_what_it_is_is_converted():
    network = statistics(foreign(OwnNorm))
    image = torch.rand(1, 3, 16, 16)
    before = network(image)
    synchronise_norms(network, network)
    assert isinstance(norms(network)[0], nn.SyncBatchNorm)
    torch.testing.assert_close(network(image), before)


def test_normalisations_of_losses_are_converted_too():
    network = statistics(foreign(nn.BatchNorm2d))
    whole = nn.ModuleDict({"network": network, "loss": nn.Sequential(nn.BatchNorm2d(4))})
    synchronise_norms(whole, network)
    assert all(isinstance(layer, nn.SyncBatchNorm) for layer in norms(whole))


def test_a_network_that_takes_no_probe_image_is_converted():
    class Picky(nn.Sequential):
        def forward(self, image):
            if image.shape[-1] != 40:
                raise ValueError(image.shape)
            return super().forward(image)

    network = Network(Picky(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    synchronise_norms(network, network)
    assert isinstance(network.module[1], nn.SyncBatchNorm)
