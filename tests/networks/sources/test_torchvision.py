import pytest
import torch
import torchvision
from safetensors.torch import save_file
from tests.networks import contract

from segdistill.networks import create_network
from segdistill.networks.sources import torchvision as source
from segdistill.util import ArgumentError, UnavailableError, WeightsError

SMALL = "lraspp_mobilenet_v3_large"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(name=SMALL, num_classes=5, **arguments):
    return create_network(name, source="torchvision", num_classes=num_classes, **arguments)


@pytest.mark.parametrize("name", [SMALL, "deeplabv3_mobilenet_v3_large"])
def test_promises_of_every_network(name, tmp_path):
    contract.check_all(lambda: make(name), tmp_path)


@pytest.mark.parametrize("name", torchvision.models.list_models(module=torchvision.models.segmentation))
def test_every_network_names_its_layers(name, monkeypatch):
    monkeypatch.setattr(torch.nn.init, "kaiming_normal_", lambda tensor, **_: tensor)  # half the time of a ResNet-101
    network = make(name)
    assert list(network.channels) == ["layer1", "layer2", "layer3", "layer4", "head"]
    expected = [256, 512, 1024, 2048] if "resnet" in name else [24, 40, 112, 960]
    assert list(network.channels.values())[:4] == expected
    output = network.eval()(torch.rand(1, 3, 64, 64))
    assert (output.aux_logits is not None) == (name != SMALL)
    assert output.logits.shape[-2:] == (64, 64)


def test_head_is_what_the_classifier_reads():
    network = make("deeplabv3_mobilenet_v3_large", options={"aux": False}).eval()
    output = network(torch.rand(1, 3, 64, 64))
    logits = network.module.classifier[-1](output.features["head"])
    assert torch.allclose(torch.nn.functional.interpolate(logits, (64, 64), mode="bilinear"), output.logits, atol=1e-5)
    assert output.aux_logits is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "fcn_resnt50"}, "Nearest names: fcn_resnet50"),
        ({"options": {"aux_loss": True}}, "`options.aux_loss` is not an option of torchvision. Known names: aux, bgr"),
        ({"options": {"aux": True}}, "`options.aux` must be false for `lraspp_mobilenet_v3_large`"),
        ({"options": {"mean": [0.5], "std": [0.5]}}, "must have three numbers"),
        ({"num_classes": None}, "`num_classes` must be a positive integer; got None"),
        ({"pretrained": True}, "`num_classes` must be 21 for the trained weights .* take pretrained=backbone"),
    ],
)
def test_what_does_not_exist_is_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        make(**arguments)


@pytest.mark.parametrize(("pretrained", "num_classes"), [(True, None), ("backbone", 5)])
def test_without_a_network_the_librarys_weights_are_a_sentence(pretrained, num_classes, monkeypatch):
    def closed(*_args, **_kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", closed)
    with pytest.raises(UnavailableError, match=r"could not fetch .*no route to host\)\. Without a network"):
        make(num_classes=num_classes, pretrained=pretrained)


def test_the_librarys_weights_bring_their_classes(monkeypatch):
    state = torchvision.models.get_model(SMALL, weights=None, weights_backbone=None).state_dict()
    monkeypatch.setattr(source, "_fetch", lambda *_: state)
    network = make(num_classes=None, pretrained=True)
    assert (network.num_classes, network.training) == (21, False)
    assert network.labels.names[15] == "person"
    assert torch.equal(network.module.classifier.low_classifier.weight, state["classifier.low_classifier.weight"])


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_files(suffix, tmp_path):
    write = save_file if suffix == "safetensors" else torch.save
    backbone = torchvision.models.mobilenet_v3_large()
    write(backbone.state_dict(), tmp_path / f"backbone.{suffix}")
    network = make(pretrained=tmp_path / f"backbone.{suffix}")
    assert torch.equal(network.module.backbone["0"][0].weight, backbone.features[0][0].weight)
    write(network.module.state_dict(), tmp_path / f"whole.{suffix}")
    again = make(weights=tmp_path / f"whole.{suffix}")
    assert torch.equal(again.module.classifier.cbr[0].weight, network.module.classifier.cbr[0].weight)
    with pytest.raises(WeightsError, match="it lacks"):
        make("deeplabv3_mobilenet_v3_large", weights=tmp_path / f"whole.{suffix}")
    with pytest.raises(WeightsError, match=r"`pretrained`: .* it lacks"):
        make("fcn_resnet50", pretrained=tmp_path / f"backbone.{suffix}")
