"""What every network promises, wherever it comes from; a source's tests say which networks they claim it for."""

import json

import torch
from torch import nn

from segdistill.labels import LabelTable
from segdistill.networks import Network, create_network, read_network, save_network
from segdistill.networks.reading import Recorder
from segdistill.types import SegOutput

SIZE = (65, 97)  # odd, and no multiple of anything


def image(network, batch=2, size=SIZE):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, len(network.preprocessing.mean), *size, generator=generator)


def check_all(make, tmp_path):
    """Everything below, for the networks that ``make()`` builds, each time anew."""
    check_output(make())
    check_feeding(make())
    check_gradients(make())
    check_no_trace(make())
    check_spec(make())
    check_file(make(), tmp_path)


def check_output(network):
    """Logits, features and what is told of them agree, for any image size and a single image, twice the same."""
    assert isinstance(network, Network)
    network.eval()
    for batch, size in ((1, SIZE), (2, (64, 64))):
        with torch.no_grad():
            output, again = network(image(network, batch, size)), network(image(network, batch, size))
            alone = network.segment(image(network, batch, size))  # with gradients other kernels may run
        assert isinstance(output, SegOutput)
        assert output.logits.shape[:2] == (batch, network.num_classes)
        assert {name: feature.shape[1] for name, feature in output.features.items()} == network.channels
        assert all(feature.dim() == 4 and len(feature) == batch for feature in output.features.values())
        assert torch.isfinite(output.logits).all()
        assert torch.equal(output.logits, again.logits)
        assert torch.equal(alone, output.logits)
        if output.aux_logits is not None:
            assert output.aux_logits.shape[:2] == (batch, network.num_classes)


def check_feeding(network):
    """Images in [0, 1] are normalised on the way, as ``preprocessing`` says and only there."""
    network.eval()
    pre, x = network.preprocessing, image(network, 1, (128, 128))
    ready = x.flip(1) if pre.bgr else x
    ready = (ready - torch.tensor(pre.mean).view(1, -1, 1, 1)) / torch.tensor(pre.std).view(1, -1, 1, 1)
    bare = Network(network.module, logits=network.logits_of, channels=network.given, num_classes=network.num_classes)
    with torch.no_grad():
        assert torch.equal(bare(ready).logits, network(x).logits)


def check_gradients(network):
    """The logits, auxiliary ones included, send a gradient to every parameter that is not frozen."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)  # timm starts residual branches at zero
    output = network.train()(image(network, 2, (64, 64)))
    loss = output.logits.square().sum()
    if output.aux_logits is not None:
        loss = loss + output.aux_logits.square().sum()
    loss.backward()
    silent = [key for key, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert silent == []


def check_no_trace(network):
    """A call leaves no hook of ours in the module, and the module's state dict is its own."""
    network(image(network, 2, (64, 64)))
    hooks = [hook for module in network.module.modules() for hook in module._forward_hooks.values()]
    assert not any(isinstance(hook, Recorder) for hook in hooks)
    assert not any("feed" in key for key in network.state_dict())
    assert [f"module.{key}" for key in network.module.state_dict()] == list(network.state_dict())


def check_spec(network):
    """The spec is JSON and builds the network again, untrained."""
    again = create_network(**json.loads(json.dumps(network.spec)))
    assert again.spec == network.spec
    assert again.preprocessing == network.preprocessing
    assert (again.channels, again.num_classes) == (network.channels, network.num_classes)
    again.module.load_state_dict(network.module.state_dict())
    with torch.no_grad():
        assert torch.equal(again.eval()(image(network)).logits, network.eval()(image(network)).logits)


def check_file(network, tmp_path):
    """Saved and read back it answers the same, and knows its classes."""
    network.labels = LabelTable.from_names([f"class {i}" for i in range(network.num_classes)])
    save_network(tmp_path / "network.safetensors", network, extra={"note": "x"})
    again, header = read_network(tmp_path / "network.safetensors")
    assert (again.labels, again.spec, header["note"]) == (network.labels, network.spec, "x")
    with torch.no_grad():
        assert torch.equal(again(image(network)).logits, network.eval()(image(network)).logits)
