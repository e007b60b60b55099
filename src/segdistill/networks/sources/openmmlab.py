"""OpenMMLab: PSPNet and DeepLabV3 from a ``.pth`` of mmsegmentation, without mmcv.

Their modules are in `networks.openmmlab` under OpenMMLab's parameter names, so that a file loads as it is. What the
file tells of its network (classes, width, auxiliary head, stride) need not be said again.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from segdistill.labels import LabelTable
from segdistill.networks.arguments import FEEDING, check_options, feeding_options, split_feeding
from segdistill.networks.checkpoints import load_weights, read_checkpoint
from segdistill.networks.network import Network
from segdistill.networks.tensors import fill, misfit
from segdistill.util import ArgumentError, WeightsError, nearest

# Width of the map that the classifier reads, as published.
_CHANNELS: Final = {"mobilenetv2": 512, "resnet18": 128, "resnet50": 512, "resnet101": 512}

NAMES: Final = tuple(f"{head}_{backbone}" for head in ("deeplabv3", "pspnet") for backbone in _CHANNELS)
"""Names in this source; the ResNets are OpenMMLab's ``ResNetV1c``."""

_OPTIONS = ("output_stride", "channels", "aux", *FEEDING)


def create(
    name: str,
    *,
    num_classes: int | None,
    weights: str | Path | None,
    pretrained: bool | str | Path,
    options: Mapping[str, Any],
) -> Network:
    """Build a network of OpenMMLab's mmsegmentation, untrained or from its file.

    Args:
        name: One of ``NAMES``, for example ``pspnet_resnet101``.
        num_classes: Channels of the logits. None: as in ``weights``.
        weights: A ``.pth`` of OpenMMLab: ``{"meta": ..., "state_dict": ...}``, or a state dict; or a ``.safetensors``
            that `save_network` wrote, of the same network. None: untrained.
        pretrained: A ``.pth`` of OpenMMLab whose backbone an untrained network starts with: a classifier's, or one that
            segments other classes.
        options: ``output_stride`` (8, 16, 32), ``channels`` (of the map ``head``; the auxiliary head has half of it),
            ``aux`` (whether there is an auxiliary head), ``mean``, ``std``, ``bgr``. Default: as in ``weights``;
            without them 8, the published width, True, and ImageNet's mean and standard deviation of RGB.

    Returns:
        The network; from a ``.pth`` in evaluation mode, with the classes that the file names.

    Raises:
        ArgumentError: If a name or option does not exist or is out of range, or torch refuses a file.
        WeightsError: If a file is of another network (the one that it fits is named) or of other classes than asked
            for, or contradicts itself.
        MissingFileError: If there is no such file.
    """
    if name not in NAMES:
        raise ArgumentError(f"`name` must be a network of the source `openmmlab`; got {name!r}. {nearest(name, NAMES)}")
    check_options(options, _OPTIONS, "the source `openmmlab`")
    if weights is not None and pretrained:
        raise ArgumentError(f"`pretrained` must be left out beside `weights`, which has it all; got {pretrained!r}.")
    if weights is None or Path(weights).suffix == ".safetensors":
        if num_classes is None:
            raise ArgumentError("`num_classes` must be given for a network without a `.pth` of OpenMMLab; got None.")
        network = _untrained(name, num_classes, options)
        if pretrained:
            _load_backbone(network.module, pretrained)
        if weights is not None:
            load_weights(network, weights)
        return network
    state, beside = read_checkpoint(weights)
    meta = _mapping(beside.get("meta"))
    found, told = _told(state, meta, weights)
    if num_classes not in (None, found):
        raise WeightsError(f"{weights} must have the `num_classes` asked for, {num_classes}; it has {found} classes.")
    network = _untrained(name, found, {**told, **options})
    if problem := misfit(state, network.module.state_dict()):
        raise WeightsError(f"{weights} must hold OpenMMLab's `{name}`: {_another(state, found, told) or problem}.")
    network.module.load_state_dict(state)
    network.labels = _labels(meta, found, weights)
    return network.eval()


def _untrained(name: str, num_classes: int, options: Mapping[str, Any]) -> Network:
    preprocessing, layout = split_feeding(options)
    head, _, backbone = name.partition("_")
    layout = {"output_stride": 8, "channels": _CHANNELS[backbone], "aux": True, **layout}
    if layout["output_stride"] not in (8, 16, 32):
        raise ArgumentError(f"`output_stride` must be 8, 16 or 32; got {layout['output_stride']!r}.")
    for key, value, least in (("num_classes", num_classes, 1), ("channels", layout["channels"], 2)):
        if type(value) is not int or value < least:
            raise ArgumentError(f"`{key}` must be a whole number from {least} on; got {value!r}.")
    # The blocks come from the zoo, and with it timm, which the losses and the distiller do without.
    from segdistill.networks.openmmlab import EncoderDecoder

    module = EncoderDecoder(head, backbone, num_classes=num_classes, **layout)
    return Network(
        module,
        preprocessing=preprocessing,
        spec={
            "source": "openmmlab",
            "name": name,
            "num_classes": num_classes,
            "options": {**layout, **feeding_options(preprocessing)},
        },
        channels=module.feature_channels,
        num_classes=num_classes,
    )


def _told(state: Mapping[str, Tensor], meta: Mapping[str, Any], path: str | Path) -> tuple[int, dict[str, Any]]:
    """What a file tells of its network: number of classes, and options.

    The stride is not in the tensors but in the text of the training's configuration, which is searched, never run.
    """
    classifier = state.get("decode_head.conv_seg.weight")
    if classifier is None or classifier.dim() != 4:
        raise WeightsError(
            f"{path} must be a segmentation network of OpenMMLab; it lacks `decode_head.conv_seg.weight`."
        )
    options: dict[str, Any] = {
        "channels": classifier.shape[1],
        "aux": any(key.startswith("auxiliary_head.") for key in state),
    }
    config = str(meta.get("cfg") or meta.get("config") or "")
    for setting in (r"multi_grid=[(\[]", r"align_corners=True"):
        if told := re.search(setting, config):
            raise WeightsError(f"{path} must be a network without `{told[0]}...`, which this source does not build.")
    if told := re.search(r"\bstrides=[(\[]([\d,\s]+)", config):
        strides = [int(stride) for stride in re.findall(r"\d+", told[1])]
        options["output_stride"] = math.prod(strides) * (4 if len(strides) == 4 else 2)  # ResNet, MobileNetV2: the stem
    return classifier.shape[0], options


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _another(state: Mapping[str, Tensor], num_classes: int, told: Mapping[str, Any]) -> str:
    """Name the network that a state dict fits; empty if there is none."""
    with torch.device("meta"):
        fits = (name for name in NAMES if not misfit(state, _untrained(name, num_classes, told).module.state_dict()))
        name = next(fits, None)
    return f"it holds `{name}`" if name else ""


def _labels(meta: Mapping[str, Any], num_classes: int, path: str | Path) -> LabelTable | None:
    """The classes by ``CLASSES`` and ``PALETTE`` of a meta, or ``classes`` and ``palette`` of its ``dataset_meta``."""
    told = {str(key).lower(): value for key, value in {**meta, **_mapping(meta.get("dataset_meta"))}.items()}
    names, colors = told.get("classes"), told.get("palette")
    if not isinstance(names, (list, tuple)):
        return None
    if len(names) != num_classes:
        raise WeightsError(f"{path} must name its {num_classes} classes; its meta names {len(names)}.")
    drawn = colors if isinstance(colors, (list, tuple)) and len(colors) == num_classes else None
    try:
        return LabelTable.from_names([str(name) for name in names], drawn, name="openmmlab")
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{path} must have a meta with distinct classes and colours for them: {error}") from error


def _load_backbone(module: nn.Module, path: bool | str | Path) -> None:
    """Fill the backbone from a file of OpenMMLab that has it, beside or under ``backbone.``."""
    if path is True:
        raise ArgumentError("`pretrained` must be the path of a `.pth` of OpenMMLab, which nothing fetches; got True.")
    state, _ = read_checkpoint(str(path))
    backbone = module.get_submodule("backbone")
    ours = backbone.state_dict()
    found = {key.removeprefix("backbone."): tensor for key, tensor in state.items()}
    used = {key: tensor for key, tensor in found.items() if key in ours}
    fill(backbone, used, f"`pretrained`: {path} must hold the backbone")
