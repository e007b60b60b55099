"""The networks by name: a head of ours on a backbone of timm."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
from torch import nn

from segdistill.networks.arguments import as_json, check_num_classes, split_feeding
from segdistill.networks.network import Network
from segdistill.networks.zoo.backbones import build_backbone
from segdistill.networks.zoo.blocks import Head
from segdistill.networks.zoo.deeplabv3 import DeepLabV3Head
from segdistill.networks.zoo.lraspp import LRASPPHead
from segdistill.networks.zoo.pspnet import PSPHead
from segdistill.networks.zoo.segformer import SegFormerHead
from segdistill.networks.zoo.segmenter import Segmenter
from segdistill.types import Preprocessing
from segdistill.util import ArgumentError, nearest

HEADS: dict[str, type[Head]] = {
    "deeplabv3": DeepLabV3Head,
    "lraspp": LRASPPHead,
    "pspnet": PSPHead,
    "segformer": SegFormerHead,
}
"""Heads by name."""

_DEEP_STEM = {"stem_type": "deep", "stem_width": 64}

BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    "mobilenetv2": ("mobilenetv2_100", {}),
    "mobilenetv3_large": ("mobilenetv3_large_100", {}),
    "mobilenetv3_small": ("mobilenetv3_small_100", {}),
    "resnet18s": ("resnet18", _DEEP_STEM),
    "resnet34s": ("resnet34", _DEEP_STEM),
}
"""Our names that timm does not have: its network and the options that change it."""

_RECOMMENDED = (
    "mobilenetv2",
    "mobilenetv2_050",
    "resnet18",
    "resnet18s",
    "resnet50",
    "resnet101",
    "resnet101s",
)

_LIGHT = (
    "lraspp_mobilenetv3_large",
    "lraspp_mobilenetv3_small",
    "segformer_mobilenetv4_conv_small",
    "segformer_tf_efficientnet_lite0",
)

_RESERVED = {
    *inspect.signature(timm.create_model).parameters,
    *("features_only", "out_indices", "output_stride", "in_chans", "num_classes"),
}


def list_networks() -> list[str]:
    """Names worth trying first; any ``<head>_<timm backbone>`` works as well.

    Example:
        >>> list_networks()[0]
        'deeplabv3_mobilenetv2'
    """
    return [f"{head}_{backbone}" for head in ("deeplabv3", "pspnet") for backbone in _RECOMMENDED] + list(_LIGHT)


def create(
    name: str,
    *,
    num_classes: int,
    pretrained: bool | str | Path = False,
    output_stride: int | None = None,
    aux: bool | None = None,
    backbone: dict[str, Any] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    bgr: bool = False,
    dropout: bool = True,
) -> Network:
    """Build a network of the zoo by name.

    A backbone's name is timm's, and then the network is timm's, or one of ours: ``mobilenetv2`` is short
    for ``mobilenetv2_100``, and ``resnet18s``, ``resnet34s`` complete timm's ``resnet50s``,
    ``resnet101s``: ResNets with the three-convolution stem that the Af-DCD authors use.

    Args:
        name: ``<head>_<backbone>``, for example ``deeplabv3_resnet18``.
        num_classes: Channels of the logits.
        pretrained: ImageNet weights of the backbone: True lets timm fetch them, a path is a safetensors
            file with timm's keys, False starts at random.
        output_stride: Image pixels per cell of the deepest map. None for that of the head as it was published (8 of
            DeepLabV3 and PSPNet, 16 of LR-ASPP, 32 of SegFormer) where the backbone can be dilated so, else for what
            the backbone has.
        aux: Auxiliary head on ``layer3``; None means yes for the ResNet family and no for the others.
        backbone: Further keyword arguments of the timm network, for example ``{"pad_type": "same"}``.
        mean: Per channel, of an image in [0, 1], in the order the network takes the channels; None means
            what the ImageNet weights of timm were trained with. As many numbers, so many channels has an image.
        std: Same for the standard deviation.
        bgr: The network takes blue first.
        dropout: False takes all dropout out.

    Returns:
        The network, on the CPU, in training mode.

    Raises:
        ValueError: If a name is unknown (the nearest are listed), an argument is out of range, the
            backbone cannot do the output stride (its own is named), or the file of weights does not fit.
        FileNotFoundError: If the file of weights does not exist.
        RuntimeError: If timm cannot fetch its weights, for example without a network.

    Example:
        >>> network = create("deeplabv3_mobilenetv2_050", num_classes=11, output_stride=16)
        >>> network.channels
        {'layer1': 16, 'layer2': 16, 'layer3': 48, 'layer4': 160, 'head': 128}
    """
    check_num_classes(num_classes)
    if output_stride is not None and (not isinstance(output_stride, int) or output_stride < 1):
        raise ArgumentError(f"`output_stride` must be a positive integer, such as 8, 16 or 32; got {output_stride!r}.")
    if not isinstance(pretrained, (bool, str, Path)):
        raise ArgumentError(f"`pretrained` must be True, False or a path; got {pretrained!r}.")
    head, timm_name, variant = _resolve(name)
    options = _checked_options(backbone)
    if pretrained is True and variant:
        raise ArgumentError(
            f"`pretrained` must be False or a path for the deep-stem `{timm_name}s`; got True, but timm has no "
            f"weights of it. Use pretrained=PATH, or the plain `{timm_name}`."
        )
    preprocessing = _preprocessing(timm_name, mean, std, bgr)
    built = build_backbone(
        timm_name,
        output_stride=output_stride,
        preferred=HEADS[head].output_stride,
        channels=len(preprocessing.mean),
        options={**variant, **options},
        pretrained=pretrained,
    )
    with_aux = "resne" in timm_name if aux is None else bool(aux)
    if with_aux and len(built.stages) < 2:
        raise ArgumentError(f"`aux` must be False for `{timm_name}`, which gives one map; got {aux!r}.")
    module = Segmenter(built, HEADS[head].on(built.stages), num_classes=num_classes, aux=with_aux)
    if not dropout:
        for layer in module.modules():
            if isinstance(layer, nn.modules.dropout._DropoutNd):
                layer.p = 0.0
    described = {
        "output_stride": built.stages[-1].stride,
        "aux": with_aux,
        "backbone": options,
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
        "bgr": preprocessing.bgr,
        "dropout": dropout,
    }
    return Network(
        module,
        preprocessing=preprocessing._replace(size=built.size, multiple=built.multiple),
        spec={"source": "zoo", "name": name, "num_classes": num_classes, "options": described},
        channels=module.feature_channels,
        num_classes=num_classes,
    )


def _resolve(name: str) -> tuple[str, str, dict[str, Any]]:
    """Split a name into our head, timm's backbone and the options that make it ours."""
    head, _, backbone = str(name).partition("_")
    if head not in HEADS:
        raise ArgumentError(
            f"`name` must begin with a head, as in `deeplabv3_resnet18`; got {name!r}. {nearest(head, HEADS)}"
        )
    if backbone in BACKBONES:
        return head, *BACKBONES[backbone]
    # A colon would make timm fetch a description from elsewhere, and names come from files too.
    if ":" in backbone or not timm.is_model(backbone):
        names = [f"{head}_{known}" for known in (*BACKBONES, *timm.list_models())]
        raise ArgumentError(f"`name` must end with a backbone that timm has; got {name!r}. {nearest(name, names)}")
    return head, backbone, {}


def _checked_options(backbone: dict[str, Any] | None) -> dict[str, Any]:
    options = {} if backbone is None else backbone
    if not isinstance(options, dict):
        raise ArgumentError(f"`backbone` must be a dict of keyword arguments of timm; got {backbone!r}.")
    taken = sorted(_RESERVED.intersection(options))
    if taken:
        raise ArgumentError(f"`backbone` must not set {', '.join(taken)}. Use the options beside `backbone`.")
    return as_json("backbone", options)


def _preprocessing(
    backbone: str, mean: Sequence[float] | None, std: Sequence[float] | None, bgr: bool
) -> Preprocessing:
    published = timm.get_pretrained_cfg(backbone)
    default = Preprocessing()
    if published is not None:
        default = Preprocessing(mean=tuple(published.mean), std=tuple(published.std))
    return split_feeding({"mean": mean, "std": std, "bgr": bgr}, default)[0]
