"""Layers worth tapping, and those that stand for ``layer4`` and ``head``, on networks as people have them."""

import logging

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn
from torchvision.models.segmentation import deeplabv3_resnet50, lraspp_mobilenet_v3_large

from segdistill.distill import Distiller
from segdistill.networks import Network, Teacher, find_layers, with_defaults
from segdistill.networks.layers import Layer, _say
from segdistill.types import AS_IT_IS, SegOutput
from segdistill.util import ArgumentError


def conv(before, after):
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True))


class UNet(nn.Module):
    """As in a hundred tutorials: names of its own, one sigmoid channel."""

    def __init__(self, out=1):
        super().__init__()
        self.e1, self.e2, self.e3 = conv(3, 8), conv(8, 16), conv(16, 32)
        self.d2, self.d1, self.out = conv(48, 16), conv(24, 8), nn.Conv2d(8, out, 1)
        self.pool, self.up = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)

    def forward(self, image):
        fine = self.e1(image)
        middle = self.e2(self.pool(fine))
        deep = self.e3(self.pool(middle))
        middle = self.d2(torch.cat([self.up(deep), middle], 1))
        return self.out(self.d1(torch.cat([self.up(middle), fine], 1)))


class Around(nn.Module):
    def __init__(self, body, width, as_map):
        super().__init__()
        self.body, self.head, self.as_map = body, nn.Conv2d(width, 5, 1), as_map

    def forward(self, image):
        return nn.functional.interpolate(self.head(self.as_map(self.body.forward_features(image))), image.shape[-2:])


FRESH = {"weights": None, "weights_backbone": None, "num_classes": 7}


def swin():
    body = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, embed_dim=24, num_heads=(1, 2, 3, 6))
    return Around(body, 192, lambda x: x.permute(0, 3, 1, 2))


def vit():
    body = timm.create_model("vit_small_patch16_dinov3", num_classes=0, img_size=(128, 192), depth=3, embed_dim=48)
    return Around(body, 48, lambda x: x[:, 5:].transpose(1, 2).reshape(len(x), 48, 8, 12))


@pytest.mark.parametrize(
    ("module", "size", "layers", "deep", "head"),
    [
        (
            lambda: nn.Sequential(
                nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 4, 1)
            ),
            None,
            ["1 8/2", "3 16/4"],
            "3",
            "4[input]",
        ),
        (UNet, None, ["e1 8/1", "e2 16/2", "pool 16/4", "e3 32/4", "d2 16/2", "up 16/1", "d1 8/1"], "e3", "out[input]"),
        (
            lambda: deeplabv3_resnet50(**FRESH, aux_loss=True),
            None,
            ["relu 64/2", "maxpool 64/4", "layer1 256/4", "layer2 512/8", "layer3 1024/8", "layer4 2048/8",
             "classifier.3 256/8"],
            "backbone.layer4",
            "classifier.4[input]",
        ),
        (lambda: lraspp_mobilenet_v3_large(**FRESH), None, None, "backbone.16", "classifier.high_classifier[input]"),
        (
            lambda: smp.Unet("resnet18", encoder_weights=None, classes=1),
            None,
            None,
            "encoder.layer4",
            "segmentation_head.0[input]",
        ),
        (
            swin,
            (224, 224),
            ["patch_embed 24/4", "layers.0 24/4", "layers.1 48/8", "layers.2 96/16", "layers.3 192/32", "norm 192/32"],
            "body.norm",
            "head[input]",
        ),
        (
            vit,
            (128, 192),
            ["patch_embed 48/16", "norm_pre 48/16", "blocks.0 48/16", "blocks.1 48/16", "blocks.2 48/16", "norm 48/16"],
            "body.norm",
            "head[input]",
        ),
    ],
)  # fmt: skip
def test_what_is_worth_tapping(module, size, layers, deep, head):
    network = Network(module(), preprocessing=AS_IT_IS._replace(size=size))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = find_layers(network)
    assert found.defaults == {"layer4": deep, "head": head}
    shown = [
        f"{one.name.removeprefix('body.').removeprefix('backbone.')} {one.channels}/{one.stride}" for one in found.worth
    ]
    assert layers is None or shown == layers
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    tapped = network.reading([one.name for one in found.worth] + [head])
    assert tapped.channels == {one.name: one.channels for one in found.worth} | {head: tapped.channels[head]}


def test_a_map_has_a_size():
    assert Layer("x", 8, 16).size((65, 64)) == (5, 4)


def test_what_the_classifier_is_given_is_read():
    network = Network(UNet(3), features={"head": "out[input]"})
    output = network(torch.rand(2, 3, 32, 48))
    assert network.channels == {"head": 8}
    torch.testing.assert_close(network.module.out(output.features["head"]), output.logits)


def test_any_pair_has_the_layers_that_losses_read(caplog):
    _say.cache_clear()
    torch.manual_seed(0)
    student, teacher = UNet(4), Teacher(lraspp_mobilenet_v3_large(**FRESH | {"num_classes": 4}))
    terms = ["kd", "cwd", "fitnet", "at", "mgd"]
    with caplog.at_level(logging.WARNING):
        distiller = Distiller(student, terms, teacher=teacher)
        Distiller(UNet(4), terms, teacher=Teacher(lraspp_mobilenet_v3_large(**FRESH | {"num_classes": 4})))
    assert sorted(record.message for record in caplog.records) == sorted([  # each once
        "the student names no `layer4`: its layer 'e3' is read for it. `features=` names another.",
        "the teacher names no `layer4`: its layer 'backbone.16' is read for it. `features=` names another.",
        "the student names no `head`: its layer 'out[input]' is read for it. `features=` names another.",
        "the teacher names no `head`: its layer 'classifier.high_classifier[input]' is read for it. "
        "`features=` names another.",
    ])  # fmt: skip
    images, labels = torch.rand(2, 3, 64, 96), torch.randint(0, 4, (2, 64, 96))
    step = distiller(images, labels, teacher(images))
    assert {"kd", "cwd", "fitnet", "at", "mgd"} <= {name.partition(".")[0] for name in step.parts}
    step.loss.backward()
    assert student.e3[0].weight.grad.any()


def test_a_network_that_says_them_itself_and_layers_that_a_user_names_stay():
    class Own(nn.Conv2d):
        def forward(self, image):
            logits = super().forward(image)
            return SegOutput(logits, None, {"layer4": image, "head": image})

    network = Network(Own(3, 4, 1))
    assert with_defaults(network, ["layer4", "head", "logits"]) is network
    named = Network(UNet(4), features={"deep": "e3"})
    assert with_defaults(named, ["layer4"]) is named
    with pytest.raises(ArgumentError, match=r"got 'head'.*Layers worth naming: e1, e2, pool, e3, d2, up, d1\."):
        Distiller(named, ["fitnet"], teacher=Teacher(UNet(4)))


def test_a_network_without_any_map_but_its_logits_is_a_sentence():
    with pytest.raises(ArgumentError, match="got 'head'"):
        Distiller(nn.Conv2d(3, 4, 1), ["fitnet"], teacher=Teacher(nn.Conv2d(3, 4, 1)))
