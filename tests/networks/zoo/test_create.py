"""The table of networks: sizes, names, options and what is refused."""

import json
import logging

import pytest
import timm
import torch
from safetensors.torch import save_file

from segdistill.networks import create_network
from segdistill.networks.zoo import create as create_zoo
from segdistill.networks.zoo import list_networks
from segdistill.networks.zoo.create import BACKBONES, HEADS
from segdistill.types import Preprocessing, SegOutput

torch.set_num_threads(1)

SMALL = ["deeplabv3_mobilenetv2_050", "pspnet_mobilenetv2", "deeplabv3_resnet18", "pspnet_resnet18s"]
FEATURES = ["layer1", "layer2", "layer3", "layer4", "head"]


def build(name: str, **options) -> torch.nn.Module:
    return create_zoo(name, **{"num_classes": 5, "output_stride": 16, **options})


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("deeplabv3_resnet101s", 61.12),
        ("deeplabv3_resnet18s", 13.61),
        ("pspnet_resnet18s", 12.92),
        ("deeplabv3_mobilenetv2", 3.23),
        ("pspnet_resnet101s", 68.07),
    ],
)
def test_parameter_counts_are_the_published_ones(name, millions):
    with torch.device("meta"):
        network = create_zoo(name, num_classes=19)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == millions


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("name", list_networks())
def test_every_listed_network_has_the_promised_maps(name, output_stride):
    with torch.device("meta"):
        network = create_zoo(name, num_classes=7, output_stride=output_stride).eval()
        output = network(torch.empty(1, 3, 64, 96))
    assert isinstance(output, SegOutput)
    assert list(output.features) == list(network.channels) == FEATURES
    assert {key: maps.shape[1] for key, maps in output.features.items()} == network.channels
    strides = [64 // output.features[key].shape[2] for key in FEATURES]
    fine = {"lraspp": 8, "segformer": 4}.get(name.split("_")[0], output_stride)
    assert strides == [*(min(stride, output_stride) for stride in (4, 8, 16, 32)), fine]
    assert output.logits.shape == (1, 7, 64 // fine, 96 // fine)
    assert (output.aux_logits is not None) == ("resnet" in name)


@pytest.mark.parametrize("name", SMALL)
def test_backward_reaches_every_parameter(name):
    torch.manual_seed(0)
    network = build(name)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)  # timm starts residual branches at zero
    output = network(torch.randn(2, 3, 64, 64))
    loss = output.logits.square().sum()
    if output.aux_logits is not None:
        loss = loss + output.aux_logits.square().sum()
    loss.backward()
    silent = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("name", SMALL)
def test_one_image_of_odd_size_trains(name):
    network = build(name, output_stride=8).train()
    output = network(torch.randn(1, 3, 65, 97))
    output.logits.sum().backward()
    assert output.logits.shape == (1, 5, 9, 13)
    assert torch.isfinite(output.logits).all()
    assert network.num_classes == 5


def test_the_spec_rebuilds_the_network_exactly():
    options = {
        "aux": False,
        "backbone": {"pad_type": "same"},
        "mean": (0.5, 0.5, 0.4),
        "std": (0.5,) * 3,
        "bgr": True,
    }
    network = build("pspnet_mobilenetv2_050", **options).eval()
    again = create_network(**json.loads(json.dumps(network.spec))).eval()
    assert again.spec == network.spec
    assert again.preprocessing == network.preprocessing == Preprocessing((0.5, 0.5, 0.4), (0.5,) * 3, True)
    again.load_state_dict(network.state_dict())
    image = torch.randn(1, 3, 33, 47)
    assert torch.equal(again(image).logits, network(image).logits)


def test_preprocessing_is_that_of_timms_weights_unless_given():
    assert build("deeplabv3_resnet18").preprocessing == Preprocessing()
    assert build("deeplabv3_mobilenetv3_large", std=None, mean=None).preprocessing == Preprocessing()
    with torch.device("meta"):
        network = build("pspnet_xception41")
    assert network.preprocessing == Preprocessing((0.5,) * 3, (0.5,) * 3)


def test_aux_can_be_forced_and_forbidden():
    image = torch.randn(2, 3, 32, 32)
    assert build("pspnet_resnet18", aux=False)(image).aux_logits is None
    forced = build("deeplabv3_mobilenetv2_050", aux=True)
    assert forced(image).aux_logits.shape == (2, 5, 2, 2)
    assert forced.spec["options"]["aux"] is True


def test_deep_stems_complete_timms_names():
    assert set(BACKBONES) >= {"resnet18s", "resnet34s"}
    stem = build("pspnet_resnet34s").module.backbone.conv1
    assert [tuple(layer.weight.shape[:2]) for layer in (stem[0], stem[3], stem[6])] == [
        (64, 3),
        (64, 64),
        (128, 64),
    ]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("deeplab_resnet18", {}, "Nearest names: deeplabv3"),
        ("deeplabv3_resnet19", {}, "Nearest names: deeplabv3_resnet18"),
        ("deeplabv3", {}, "must end with a backbone"),
        ("deeplabv3_hf-hub:some/where", {}, "must end with a backbone"),
        ("deeplabv3_local-dir:/tmp", {}, "must end with a backbone"),
        ("deeplabv3_efficientvit_b0", {"output_stride": 8}, r"at `output_stride` 8 .*Its own stride is 32\."),
        ("deeplabv3_vit_tiny_patch16_224", {"output_stride": 32}, r"Its own stride is 16\."),
        ("deeplabv3_resnet18", {"output_stride": 4}, r"timm cannot build `resnet18` so .*Its own stride is 32\."),
        ("deeplabv3_resnet18", {"output_stride": 0}, "`output_stride` must be a positive integer"),
        ("deeplabv3_vit_tiny_patch16_224", {"output_stride": 16, "backbone": {"depht": 2}}, "depht"),
        ("deeplabv3_resnet18", {"num_classes": 0}, "`num_classes` must be a positive integer; got 0"),
        ("deeplabv3_resnet18", {"num_classes": "5"}, "`num_classes` must be"),
        ("deeplabv3_resnet18", {"pretrained": None}, "`pretrained` must be True, False or a path"),
        ("deeplabv3_resnet18", {"mean": (1, 2)}, "`mean` and `std` must have one number for each channel; got 2 and 3"),
        ("deeplabv3_resnet18", {"std": (1, 1, 0)}, "`std` must be finite numbers"),
        ("deeplabv3_resnet18", {"backbone": {"nonsense": 1}}, "nonsense"),
        ("deeplabv3_resnet18", {"backbone": {"checkpoint_path": "a.pth"}}, "must not set checkpoint_path"),
        ("deeplabv3_resnet18", {"backbone": {"act_layer": torch.nn.ReLU}}, "what JSON can"),
        ("deeplabv3_resnet18", {"backbone": "same"}, "must be a dict"),
        ("deeplabv3_resnet18s", {"pretrained": True}, "PATH, or the plain `resnet18`"),
    ],
)
def test_bad_arguments_are_one_sentence(name, options, message):
    with pytest.raises(ValueError, match=message):
        build(name, **options)


def test_timm_weights_that_cannot_be_fetched_name_the_remedy(monkeypatch):
    create = timm.create_model

    def offline(*args, pretrained=False, **options):
        if pretrained:
            raise ConnectionError("no route to host\nlong story")
        return create(*args, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(RuntimeError, match=r"resnet18.*no route to host\).*pretrained=PATH"):
        build("deeplabv3_resnet18", pretrained=True)


def test_timm_weights_are_used_where_they_come(monkeypatch):
    create = timm.create_model

    def filled(*args, pretrained=False, **options):
        network = create(*args, **options)
        if pretrained:
            torch.nn.init.constant_(network.conv_stem.weight, 0.25)
        return network

    monkeypatch.setattr(timm, "create_model", filled)
    network = build("deeplabv3_mobilenetv2_050", pretrained=True)
    assert (network.module.backbone.conv_stem.weight == 0.25).all()


@pytest.fixture
def imagenet(tmp_path):
    """A file of timm's whole classification network and its tensors."""
    torch.manual_seed(3)
    state = timm.create_model("mobilenetv2_050").state_dict()
    save_file(state, tmp_path / "imagenet.safetensors")
    return tmp_path / "imagenet.safetensors", state


def test_local_weights_fill_the_backbone(imagenet, caplog):
    path, state = imagenet
    with caplog.at_level(logging.INFO, "segdistill"):
        network = build("deeplabv3_mobilenetv2_050", pretrained=str(path), backbone={"pad_type": "same"})
    loaded = network.module.backbone.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())
    assert "classifier.weight" in caplog.text
    assert "conv_head.weight" in caplog.text


def test_local_weights_find_names_that_timm_flattens(tmp_path):
    state = timm.create_model("convnext_atto").state_dict()
    save_file(state, tmp_path / "w.safetensors")
    network = build("pspnet_convnext_atto", pretrained=tmp_path / "w.safetensors")
    assert torch.equal(network.module.backbone.state_dict()["stem_0.weight"], state["stem.0.weight"])


def test_local_weights_may_lack_batch_counters(imagenet):
    path, state = imagenet
    save_file({key: value for key, value in state.items() if "num_batches" not in key}, path)
    network = build("deeplabv3_mobilenetv2_050", pretrained=path)
    assert torch.equal(network.module.backbone.conv_stem.weight, state["conv_stem.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("conv_stem.weight"), "lacks `conv_stem.weight`"),
        (
            lambda state: state.update({"conv_stem.weight": torch.zeros(3)}),
            r"`conv_stem.weight` has shape \(3,\)",
        ),
        (
            lambda state: state.update({"blocks.1.9.bn1.bias": torch.zeros(3)}),
            "unknown `blocks.1.9.bn1.bias`",
        ),
    ],
)
def test_local_weights_that_do_not_fit(imagenet, change, message):
    path, state = imagenet
    change(state)
    save_file(state, path)
    with pytest.raises(ValueError, match=f"`mobilenetv2_050`.*{message}"):
        build("deeplabv3_mobilenetv2_050", pretrained=path)


def test_a_deeper_networks_weights_are_refused(tmp_path):
    save_file(timm.create_model("resnet34").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"`resnet18`.*unknown `layer1\.2\."):
        build("deeplabv3_resnet18", pretrained=tmp_path / "w.safetensors")


def test_files_that_are_no_weights(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"not tensors at all")
    (tmp_path / "a.pth").write_bytes(b"pickle")
    with pytest.raises(ValueError, match="must be a whole safetensors file"):
        build("deeplabv3_mobilenetv2_050", pretrained=tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"pickles are not read.*save_file"):
        build("deeplabv3_mobilenetv2_050", pretrained=tmp_path / "a.pth")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        build("deeplabv3_mobilenetv2_050", pretrained=tmp_path / "none.safetensors")


def test_a_network_is_one_graph():
    network = build("deeplabv3_mobilenetv2_050").eval()
    image = torch.randn(1, 3, 32, 48)
    exported = torch.export.export(network, (image,)).module()
    torch.testing.assert_close(exported(image).logits, network(image).logits)


def test_heads_are_a_literal_table():
    assert list(HEADS) == ["deeplabv3", "lraspp", "pspnet", "segformer"]
