"""Backbones of every kind: maps, tokens, (B, H, W, C), few stages, one input size, other channels."""

import pytest
import timm
import torch
from safetensors.torch import save_file
from tests.networks import contract

from segdistill.networks import create_network
from segdistill.networks.zoo.backbones import build_backbone
from segdistill.networks.zoo.blocks import upsample
from segdistill.networks.zoo.lraspp import LRASPPHead
from segdistill.networks.zoo.segformer import SegFormerHead

torch.set_num_threads(1)

SMALL = {"depths": [1, 1, 1, 1], "embed_dim": 24, "num_heads": [1, 2, 3, 6]}
KINDS = {  # name: options of the backbone, stride of the deepest map, its width, number of maps
    "segformer_convnext_atto": ({"depths": [1, 1, 1, 1]}, 32, 320, 4),
    "segformer_swin_tiny_patch4_window7_224": (SMALL, 32, 192, 4),
    "deeplabv3_swinv2_tiny_window8_256": (SMALL, 32, 192, 4),
    "segformer_vit_tiny_patch16_224": ({"depth": 4, "embed_dim": 48}, 16, 48, 4),
    "lraspp_vit_small_patch16_dinov3": ({"depth": 5, "embed_dim": 48, "num_heads": 3}, 16, 48, 4),
    "pspnet_vit_small_patch14_reg4_dinov2": ({"depth": 2, "embed_dim": 48, "num_heads": 3}, 14, 48, 2),
    "segformer_efficientvit_m0": ({}, 64, 192, 3),
    "segformer_efficientvit_b0": ({}, 32, 128, 4),
    "lraspp_mobilenetv4_conv_small": ({}, 16, 960, 4),
    "lraspp_mobilenetv3_small": ({}, 16, 576, 4),
    "segformer_hrnet_w18_small": ({}, 32, 1024, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_any_backbone_is_a_network(name, tmp_path):
    options, stride, width, count = KINDS[name]
    options = {"backbone": options} if options else {}

    def make():
        return create_network(name, num_classes=3, options=options)

    network = make()
    assert network.spec["options"]["output_stride"] == stride
    assert list(network.channels) == [*("layer1", "layer2", "layer3", "layer4")[-count:], "head"]
    assert network.channels["layer4"] == width
    contract.check_output(make())
    contract.check_no_trace(make())
    contract.check_spec(make())
    contract.check_file(make(), tmp_path)


@pytest.mark.parametrize("name", ["segformer_vit_tiny_patch16_224", "lraspp_mobilenetv4_conv_small"])
def test_gradients_and_feeding(name):
    options = {"backbone": KINDS[name][0]} if KINDS[name][0] else {}
    contract.check_gradients(create_network(name, num_classes=3, options=options))
    contract.check_feeding(create_network(name, num_classes=3, options=options))


def test_maps_are_those_of_timm():
    torch.manual_seed(0)
    network = create_network("segformer_swin_tiny_patch4_window7_224", num_classes=3).eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        output = network(image)
        theirs = network.module.backbone(network.feed(image))
    assert [tuple(x.shape) for x in theirs] == [(1, 16, 24, 96), (1, 8, 12, 192), (1, 4, 6, 384), (1, 2, 3, 768)]
    for name, x in zip(("layer1", "layer2", "layer3", "layer4"), theirs, strict=True):
        assert torch.equal(output.features[name], x.permute(0, 3, 1, 2))


def test_a_network_of_one_size_is_fed_so():
    network = create_network("segformer_coat_lite_tiny", num_classes=3).eval()
    assert network.preprocessing.size == (224, 224)
    with torch.no_grad():
        assert network(torch.rand(1, 3, 50, 70)).logits.shape == (1, 3, 56, 56)


def test_maps_of_a_vit_are_taken_after_each_quarter():
    how = {"output_stride": None, "preferred": 8, "channels": 3, "options": {}, "pretrained": False}
    backbone = build_backbone("vit_tiny_patch16_224", **how)
    assert backbone.module.feature_info.out_indices == (2, 5, 8, 11)


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_imagenet_weights_serve_other_channels(channels, tmp_path):
    torch.manual_seed(0)
    whole = timm.create_model("mobilenetv2_050")
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    fed = {"mean": [0.1] * channels, "std": [0.2] * channels, "output_stride": 32}
    weights = tmp_path / "w.safetensors"
    network = create_network("lraspp_mobilenetv2_050", num_classes=2, pretrained=weights, options=fed)
    stem, theirs = network.module.backbone.conv_stem.weight, whole.conv_stem.weight
    assert stem.shape[1] == channels
    if channels == 1:
        assert torch.allclose(stem, theirs.sum(1, keepdim=True))
    else:
        assert torch.allclose(stem, theirs.repeat(1, 2, 1, 1)[:, :channels] * 3 / channels)
    assert network.spec["options"]["mean"] == [0.1] * channels
    contract.check_spec(network)


def test_lraspp_is_the_published_function():
    """Two classifiers whose scores are added are one that reads both maps."""
    torch.manual_seed(0)
    network = create_network("lraspp_mobilenetv3_small", num_classes=5).eval()
    head, classifier = network.module.decoder, network.module.classifier
    assert isinstance(head, LRASPPHead)
    deep, fine = torch.randn(2, 576, 4, 6), torch.randn(2, 24, 8, 12)
    with torch.no_grad():
        ours = classifier(head([fine, fine, deep, deep]))
        gated = head.project(deep) * torch.sigmoid(head.scale[1](deep.mean((2, 3), keepdim=True)))
        high = torch.nn.functional.conv2d(upsample(gated, fine), classifier.weight[:, :128], classifier.bias)
        low = torch.nn.functional.conv2d(fine, classifier.weight[:, 128:])
    torch.testing.assert_close(ours, high + low)


def test_segformer_is_the_published_function():
    """Mixing before the resize is mixing the joined maps after it."""
    torch.manual_seed(0)
    network = create_network("segformer_mobilenetv3_small", num_classes=5).eval()
    head = network.module.decoder
    assert isinstance(head, SegFormerHead)
    torch.nn.init.normal_(head.norm.running_mean)
    maps = [torch.randn(2, width, 32 >> i, 48 >> i) for i, width in enumerate((16, 24, 48, 576))]
    with torch.no_grad():
        joined = torch.cat([upsample(p(x), maps[0]) for p, x in zip(head.project, maps, strict=True)], 1)
        weight = torch.cat([mix.weight for mix in head.mix], 1)
        published = torch.relu(head.norm(torch.nn.functional.conv2d(joined, weight)))
        torch.testing.assert_close(head(maps), published)


def test_initial_weights_do_not_depend_on_what_was_tried():
    torch.manual_seed(0)
    one = create_network("deeplabv3_vit_tiny_patch16_224", num_classes=3, options={"backbone": {"depth": 2}})
    torch.manual_seed(0)
    again = create_network(**one.spec)
    for (key, value), other in zip(one.module.state_dict().items(), again.module.state_dict().values(), strict=True):
        assert torch.equal(value, other), key
