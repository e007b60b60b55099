import sys

import pytest
import segmentation_models_pytorch as library
import timm
import torch
from safetensors.torch import save_file
from tests.networks import contract

from segdistill.networks import create_network
from segdistill.networks.sources.smp import _architectures
from segdistill.util import ArgumentError, UnavailableError, WeightsError

TINY = "tu-test_efficientnet"
NARROW = {"decoder_channels": [32, 16, 16, 16, 16]}
OPTIONS = {
    "DPT": {
        "encoder_name": "tu-test_vit",
        "decoder_intermediate_channels": [8, 8, 8, 8],
        "decoder_fusion_channels": 8,
    },
    "DeepLabV3": {"decoder_channels": 16, "encoder_output_stride": 16},
    "DeepLabV3Plus": {"decoder_channels": 16},
    "FPN": {"decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32},
    "MAnet": NARROW,
    "PSPNet": {"psp_out_channels": 16},
    "Segformer": {"decoder_segmentation_channels": 16},
    "UPerNet": {"decoder_channels": 32},
    "Unet": NARROW,
    "UnetPlusPlus": NARROW,
}

DEAD = ("MAnet", "PAN")  # their bottlenecks of one channel are often dead at the start, so gradients prove nothing


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(name="FPN", num_classes=5, options=None, **arguments):
    options = {"encoder_name": TINY} if options is None else options
    return create_network(name, source="smp", num_classes=num_classes, options=options, **arguments)


@pytest.mark.parametrize("name", list(_architectures(library)))
def test_promises_of_every_architecture(name, tmp_path):
    options = {"encoder_name": TINY, **OPTIONS.get(name, {})}
    if name in DEAD:
        for check in (contract.check_output, contract.check_feeding, contract.check_no_trace, contract.check_spec):
            check(make(name, options=options))
        contract.check_file(make(name, options=options), tmp_path)
    else:
        contract.check_all(lambda: make(name, options=options), tmp_path)
    assert {"layer4", "head"} <= set(make(name, options=options).channels)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("PSPNet", "resnet18"),
        ("Unet", "vgg11"),
        ("Segformer", "mit_b0"),
        ("FPN", "tu-convnext_atto"),
    ],
)
def test_encoders_of_every_kind(name, encoder):
    network = make(name, options={"encoder_name": encoder})
    contract.check_output(network)
    contract.check_gradients(network)
    stages = [key for key in network.channels if key != "head"]
    assert stages == (["layer2", "layer3", "layer4"] if name == "PSPNet" else ["layer1", "layer2", "layer3", "layer4"])


def test_the_answer_is_the_librarys():
    network = make("Unet", options={"encoder_name": "resnet18", "decoder_channels": [32, 16, 16, 16, 16]}).eval()
    theirs = library.Unet("resnet18", encoder_weights=None, decoder_channels=[32, 16, 16, 16, 16], classes=5).eval()
    theirs.load_state_dict(network.module.state_dict())
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(theirs(image), network.module(image).logits)


def test_as_many_channels_as_mean_has_numbers():
    network = make(options={"encoder_name": TINY, "mean": [0.5] * 4, "std": [0.2] * 4})
    contract.check_output(network)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("FPM", {}, "must be an architecture of smp; got 'FPM'. Nearest names: .*FPN"),
        (
            "FPN",
            {"encodr_name": "x"},
            "`options.encodr_name` is not an option of smp's `FPN`. Nearest",
        ),
        ("FPN", {"encoder_output_stride": 8}, "would ignore it; .*DeepLabV3, DeepLabV3Plus, PAN honour it"),
        ("FPN", {"classes": 3}, "`options.classes` must be left out for smp: .*`num_classes`"),
        ("FPN", {"activation": "softmax"}, "need the plain logits"),
        ("FPN", {"aux_params": {"classes": 3}}, "labels whole images"),
        ("FPN", {"kwargs": {}}, "`options.kwargs` is not an option"),
        ("FPN", {"encoder_name": "resnt18"}, "Nearest names: resnet18"),
        ("FPN", {"encoder_name": "tu-resnt18"}, "Nearest names: tu-resnet18"),
        ("FPN", {"encoder_name": "tu-hf-hub:a/b"}, "must be `tu-` and a network of timm"),
        ("FPN", {"encoder_name": "resnet18", "encoder": {"drop_path_rate": 0.1}}, "which would ignore it"),
        ("FPN", {"encoder_name": TINY, "encoder": {"drop_pth": 0.1}}, "it refuses them .*drop_pth"),
        ("DeepLabV3", {"encoder_name": TINY, "encoder_output_stride": 4}, "it refuses them .*output stride"),
    ],
)
def test_what_does_not_exist_or_would_be_swallowed_is_refused(name, options, message):
    with pytest.raises(ArgumentError, match=message):
        make(name, options=options)


def test_a_missing_library_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(UnavailableError, match=r'pip install "segdistill\[smp\]"'):
        make()


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_without_a_network_the_librarys_weights_are_a_sentence(encoder, monkeypatch):
    def closed(*_args, **_kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("segmentation_models_pytorch.encoders.hf_hub_download", closed)
    monkeypatch.setattr("timm.models._builder.load_pretrained", closed)
    with pytest.raises(UnavailableError, match=r"could not fetch .*no route to host\)\. Without a network, pass pretr"):
        make(options={"encoder_name": encoder}, pretrained=True)


@pytest.mark.parametrize("encoder", ["tu-tf_efficientnet_lite0", "timm-tf_efficientnet_lite0", "resnet18"])
def test_imagenet_weights_with_timms_keys(encoder, tmp_path):
    theirs = timm.create_model(encoder.removeprefix("tu-").removeprefix("timm-")).state_dict()
    save_file(theirs, tmp_path / "imagenet.safetensors")
    network = make(options={"encoder_name": encoder}, pretrained=tmp_path / "imagenet.safetensors")
    first = next(key for key in theirs if key.endswith("weight"))
    encoder_module = network.module.encoder
    state = getattr(encoder_module, "model", encoder_module).state_dict()
    assert torch.equal(state[first], theirs[first])
    with pytest.raises(WeightsError, match="must hold the weights of timm's"):
        make(options={"encoder_name": "tu-resnet10t"}, pretrained=tmp_path / "imagenet.safetensors")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_of_the_whole_network(suffix, tmp_path):
    theirs = library.FPN(TINY, encoder_weights=None, classes=5).state_dict()
    (save_file if suffix == "safetensors" else torch.save)(theirs, tmp_path / f"whole.{suffix}")
    network = make(weights=tmp_path / f"whole.{suffix}")
    assert not network.training
    assert torch.equal(network.module.segmentation_head[0].weight, theirs["segmentation_head.0.weight"])
    with pytest.raises(WeightsError, match="it lacks"):
        make("Unet", weights=tmp_path / f"whole.{suffix}")


def test_imagenet_weights_of_an_encoder_serve_other_channels(tmp_path):
    whole = timm.create_model("mobilenetv2_050")
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    options = {"encoder_name": "tu-mobilenetv2_050", "mean": [0.1] * 4, "std": [0.2] * 4}
    network = create_network("FPN", source="smp", num_classes=2, pretrained=tmp_path / "w.safetensors", options=options)
    expected = whole.conv_stem.weight.repeat(1, 2, 1, 1)[:, :4] * 3 / 4
    assert torch.allclose(network.module.encoder.model.conv_stem.weight, expected)
