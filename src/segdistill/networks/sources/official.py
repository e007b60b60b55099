"""The Af-DCD authors' published checkpoints: safe reading, and their key names in ours.

Their networks are in the zoo: ResNets with a three-convolution stem, and a MobileNetV2 that is timm's
under other key names.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from segdistill.networks.checkpoints import read_checkpoint
from segdistill.networks.network import Network
from segdistill.networks.tensors import misfit
from segdistill.util import ArgumentError

OFFICIAL = {
    "deeplabv3_mobilenetv2": "deeplabv3_mobilenetv2",
    "deeplabv3_resnet18": "deeplabv3_resnet18s",
    "deeplabv3_resnet101": "deeplabv3_resnet101s",
    "pspnet_mobilenetv2": "pspnet_mobilenetv2",
    "pspnet_resnet18": "pspnet_resnet18s",
    "pspnet_resnet101": "pspnet_resnet101s",
}
"""The authors' networks, by the authors' name and by ours."""

# Blue, green, red in 0..255; the authors subtract it and scale nothing.
_MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)

_HEAD_MARKS = {"deeplabv3": "head.aspp.project.0.weight", "pspnet": "head.psp.conv1.0.weight"}
_BACKBONE_MARKS = {  # in this order: the last one is in both ResNets
    "mobilenetv2": "pretrained.net.features.17.conv.6.weight",
    "resnet101": "pretrained.layer3.22.conv3.weight",
    "resnet18": "pretrained.layer4.1.conv2.weight",
}
_CLASSIFIERS = {"deeplabv3": "head.block.4.weight", "pspnet": "head.classifier.weight"}

# Their prefix and ours; the first that matches counts.
_HEADS = {
    "head.aspp.b0.": "decoder.branches.0.",
    "head.aspp.b1.block.": "decoder.branches.1.",
    "head.aspp.b2.block.": "decoder.branches.2.",
    "head.aspp.b3.block.": "decoder.branches.3.",
    "head.aspp.b4.gap.": "decoder.pooling.",
    "head.aspp.project.": "decoder.project.",
    **{  # their pooling is a function, ours is layer 0
        f"head.psp.conv{level + 1}.{layer}.": f"decoder.pyramid.{level}.{layer + 1}."
        for level in range(4)
        for layer in range(2)
    },
    "head.block.4.": "classifier.",
    "head.classifier.": "classifier.",
    "head.block.": "decoder.block.",
    "auxlayer.block.": "aux.",
}
_RESNET = {
    "pretrained.conv1.": "backbone.conv1.0.",
    "pretrained.bn1.": "backbone.conv1.1.",
    "pretrained.conv2.": "backbone.conv1.3.",
    "pretrained.bn2.": "backbone.conv1.4.",
    "pretrained.conv3.": "backbone.conv1.6.",
    "pretrained.bn3.": "backbone.bn1.",
    "pretrained.layer": "backbone.layer",
}


def load_official(path: str | Path, name: str, *, num_classes: int) -> Network:
    """Load a checkpoint that the Af-DCD authors published.

    The file is read with ``weights_only=True``: it can hold tensors and nothing that runs. It may be a
    state dict, or hold one as ``state_dict``, ``model_state_dict`` or ``model``, and its keys may begin
    with ``module.``.

    Args:
        path: The authors' ``.pth`` file.
        name: One of ``OFFICIAL``, for example ``deeplabv3_resnet18``, or the zoo's own spelling of it,
            ``deeplabv3_resnet18s``.
        num_classes: Classes of the checkpoint; 19 for Cityscapes.

    Returns:
        The network, on the CPU and in evaluation mode, at output stride 8. Its module takes the authors' images
        (blue first, mean subtracted, 0 to 255), which it makes of RGB in [0, 1] as every `Network` does.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the name is unknown, or the file is no checkpoint, is one of another network (the
            one that it fits is named) or another number of classes, or does not have exactly the tensors
            of the network.
    """
    official = {zoo_name: theirs for theirs, zoo_name in OFFICIAL.items()}.get(name, name)
    if official not in OFFICIAL:
        raise ArgumentError(f"`name` must be one of {', '.join(OFFICIAL)}; got {name!r}.")
    state, _ = read_checkpoint(path)
    found = _identify(state)
    if found is None:
        raise ArgumentError(f"`path` must be a checkpoint of {', '.join(OFFICIAL)}; {path} has other tensors.")
    if found != official:
        raise ArgumentError(f"`path` must be a checkpoint of `{official}`; {path} is one of `{found}`.")
    head, _, backbone = official.partition("_")
    classifier = state.get(_CLASSIFIERS[head])
    if classifier is not None and classifier.shape[:1] != (num_classes,):
        raise ArgumentError(
            f"`num_classes` must be that of the checkpoint; got {num_classes}, and the classifier in {path} "
            f"has shape {tuple(classifier.shape)}."
        )
    from segdistill.networks.zoo import create  # timm, which the losses and the distiller do without

    network = create(
        OFFICIAL[official],
        num_classes=num_classes,
        mean=[value / 255 for value in _MEAN_BGR],
        std=[1 / 255] * 3,
        bgr=True,
    )
    rules = {**_HEADS, **(dict(_mobilenet_rules()) if backbone == "mobilenetv2" else _RESNET)}
    renamed = {_rename(key, rules): tensor for key, tensor in state.items()}
    problem = misfit(renamed, network.module.state_dict())
    if problem:
        raise ArgumentError(f"`path` must hold the tensors of `{official}`, here in our names; {path}: {problem}.")
    network.module.load_state_dict(renamed)
    return network.eval()


def create(
    name: str,
    *,
    num_classes: int | None,
    weights: str | Path | None,
    pretrained: bool | str | Path,
    options: Mapping[str, Any],
) -> Network:
    """The source ``official``: one of the authors' networks from their file; see `load_official`."""
    if options or pretrained:
        raise ArgumentError(
            "`options` and `pretrained` must be left out for the source `official`: weights has it all."
        )
    if weights is None or num_classes is None:
        raise ArgumentError("`weights` and `num_classes` must be given for the source `official`: the authors' `.pth`.")
    return load_official(weights, name, num_classes=num_classes)


def _identify(state: Mapping[str, Tensor]) -> str | None:
    """Tell which of the authors' networks a state dict belongs to, by keys that only it has."""
    head = next((name for name, key in _HEAD_MARKS.items() if key in state), None)
    backbone = next((name for name, key in _BACKBONE_MARKS.items() if key in state), None)
    return f"{head}_{backbone}" if head and backbone else None


def _rename(key: str, rules: Mapping[str, str]) -> str:
    """Translate a key of theirs; one that no rule knows stays as it is and fits nothing."""
    return next((ours + key[len(theirs) :] for theirs, ours in rules.items() if key.startswith(theirs)), key)


def _mobilenet_rules() -> Iterator[tuple[str, str]]:
    """Pair torchvision's flat list of inverted residuals with timm's stages of named layers."""
    theirs = "pretrained.net.features"
    yield f"{theirs}.0.0.", "backbone.conv_stem."
    yield f"{theirs}.0.1.", "backbone.bn1."
    first = {0: "conv_dw", 1: "bn1", 3: "conv_pw", 4: "bn2"}
    later = {0: "conv_pw", 1: "bn1", 3: "conv_dw", 4: "bn2", 6: "conv_pwl", 7: "bn3"}
    index = 1
    for stage, num_blocks in enumerate((1, 2, 3, 4, 3, 3, 1)):
        for block in range(num_blocks):
            for layer, ours in (later if stage else first).items():
                yield f"{theirs}.{index}.conv.{layer}.", f"backbone.blocks.{stage}.{block}.{ours}."
            index += 1
