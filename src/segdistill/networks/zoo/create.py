"""The networks by name: a head of ours on a backbone of timm."""

import functools
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import timm
from torch import nn

from segdistill.networks.arguments import split_feeding
from segdistill.networks.network import Network
from segdistill.networks.zoo.blocks import Head
from segdistill.networks.zoo.deeplabv3 import DeepLabV3Head
from segdistill.networks.zoo.pretrained import load_backbone
from segdistill.networks.zoo.pspnet import PSPHead
from segdistill.networks.zoo.segmenter import STAGES, Segmenter
from segdistill.types import Preprocessing
from segdistill.util import ArgumentError, MissingFileError, UnavailableError, WeightsError, nearest

HEADS: dict[str, Callable[[int, int], Head]] = {
    "deeplabv3": DeepLabV3Head,
    "pspnet": PSPHead,
}
"""Heads by name, called with the width of the backbone's last map and the output stride."""

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
    return [f"{head}_{backbone}" for head in HEADS for backbone in _RECOMMENDED]


def create(
    name: str,
    *,
    num_classes: int,
    pretrained: bool | str | Path = False,
    output_stride: int = 8,
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
        output_stride: Image pixels per cell of the deepest map: 8, 16 or 32.
        aux: Auxiliary head on ``layer3``; None means yes for the ResNet family and no for the others.
        backbone: Further keyword arguments of the timm network, for example ``{"pad_type": "same"}``.
        mean: Per channel, of an image in [0, 1], in the order the network takes the channels; None means
            what the ImageNet weights of timm were trained with.
        std: Same for the standard deviation.
        bgr: The network takes blue first.
        dropout: False takes all dropout out.

    Returns:
        The network, on the CPU, in training mode.

    Raises:
        ValueError: If a name is unknown (the nearest are listed), an argument is out of range, the
            backbone cannot do the output stride, or the file of weights does not fit.
        FileNotFoundError: If the file of weights does not exist.
        RuntimeError: If timm cannot fetch its weights, for example without a network.

    Example:
        >>> network = create("deeplabv3_mobilenetv2_050", num_classes=11, output_stride=16)
        >>> network.channels
        {'layer1': 16, 'layer2': 16, 'layer3': 48, 'layer4': 160, 'head': 128}
    """
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ArgumentError(f"`num_classes` must be a positive integer; got {num_classes!r}.")
    if output_stride not in (8, 16, 32):
        raise ArgumentError(f"`output_stride` must be 8, 16 or 32; got {output_stride!r}.")
    if not isinstance(pretrained, (bool, str, Path)):
        raise ArgumentError(f"`pretrained` must be True, False or a path; got {pretrained!r}.")
    head, timm_name, variant = _resolve(name)
    options = _checked_options(backbone)
    stages = _create_backbone(timm_name, output_stride, {**variant, **options}, pretrained, variant)
    preprocessing = _preprocessing(stages, mean, std, bgr)
    info: Any = stages.feature_info
    with_aux = "resne" in timm_name if aux is None else bool(aux)
    module = Segmenter(stages, HEADS[head](info.channels()[-1], output_stride), num_classes=num_classes, aux=with_aux)
    if not dropout:
        for layer in module.modules():
            if isinstance(layer, nn.modules.dropout._DropoutNd):
                layer.p = 0.0
    described = {
        "output_stride": output_stride,
        "aux": with_aux,
        "backbone": options,
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
        "bgr": preprocessing.bgr,
        "dropout": dropout,
    }
    return Network(
        module,
        preprocessing=preprocessing,
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
    try:
        copy: dict[str, Any] = json.loads(json.dumps(options))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"`backbone` must hold what JSON can; got {options!r}.") from error
    return copy


def _create_backbone(
    name: str,
    output_stride: int,
    options: dict[str, Any],
    pretrained: bool | str | Path,
    variant: dict[str, Any],
) -> nn.Module:
    if pretrained is True and variant:
        raise ArgumentError(
            f"`pretrained` must be False or a path for the deep-stem `{name}s`; got True, but timm has no "
            f"weights of it. Use pretrained=PATH, or the plain `{name}`."
        )
    # 32 is what a backbone has by itself; many know only that and not the argument.
    stride: dict[str, Any] = {} if output_stride == 32 else {"output_stride": output_stride}
    build = functools.partial(
        timm.create_model,
        name,
        features_only=True,
        out_indices=tuple(range(-len(STAGES), 0)),
        **stride,
        **options,
    )
    backbone = _checked_backbone(build, name, output_stride)
    if pretrained is True:
        try:
            backbone = build(pretrained=True)
        except Exception as error:  # each cause, from a closed port to a bad key, has its own type
            raise UnavailableError(
                f"timm could not load its weights of `{name}` ({_first_line(error)}). "
                "Without a network, pass pretrained=PATH of a safetensors file."
            ) from error
    elif pretrained is not False:
        known = timm.create_model(name, **options).state_dict().keys()
        try:
            load_backbone(backbone, pretrained, name=name, known=known)
        except (MissingFileError, WeightsError) as error:
            raise type(error)(f"`pretrained`: {error}") from error
    return backbone


def _checked_backbone(build: Callable[[], Any], name: str, output_stride: int) -> nn.Module:
    try:
        backbone: Any = build()
    except Exception as error:  # timm refuses with assertions, type errors and runtime errors alike
        raise ArgumentError(
            f"`name` must have a backbone that gives four maps at `output_stride` {output_stride} and takes "
            f"the options given; timm cannot build `{name}` so ({_first_line(error)}). "
            "Use another backbone or, for most, output_stride=32."
        ) from error
    stride = backbone.feature_info.reduction()[-1]
    layout = str(getattr(getattr(backbone, "output_fmt", None), "value", "NCHW"))
    if stride != output_stride or layout != "NCHW":
        raise ArgumentError(
            f"`name` must have a backbone with NCHW maps at `output_stride` {output_stride}; `{name}` has "
            f"{layout} maps at {stride}."
        )
    module: nn.Module = backbone
    return module


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(" .:")


def _preprocessing(
    backbone: nn.Module, mean: Sequence[float] | None, std: Sequence[float] | None, bgr: bool
) -> Preprocessing:
    published: dict[str, Any] = getattr(backbone, "pretrained_cfg", None) or {}
    default = Preprocessing()
    default = Preprocessing(
        mean=tuple(published.get("mean", default.mean)), std=tuple(published.get("std", default.std))
    )
    return split_feeding({"mean": mean, "std": std, "bgr": bgr}, default)[0]
