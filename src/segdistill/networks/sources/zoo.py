"""The zoo: heads of ours on backbones of timm."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segdistill.networks.arguments import check_options
from segdistill.networks.checkpoints import load_weights
from segdistill.networks.network import Network
from segdistill.util import ArgumentError

_NOT_OPTIONS = ("name", "num_classes", "pretrained")


def create(
    name: str,
    *,
    num_classes: int | None,
    weights: str | Path | None,
    pretrained: bool | str | Path,
    options: Mapping[str, Any],
) -> Network:
    """Build a network of the zoo; its options are the further arguments of `networks.zoo.create`.

    Args:
        name: ``<head>_<backbone>``, for example ``deeplabv3_resnet18``.
        num_classes: Channels of the logits.
        weights: A file that `save_network` wrote, of the same network. None: none.
        pretrained: ImageNet weights of the backbone: True lets timm fetch them, a path is a safetensors file.
        options: ``output_stride``, ``aux``, ``backbone``, ``mean``, ``std``, ``bgr``, ``dropout``.

    Raises:
        ArgumentError: If an argument does not exist or is out of range; unknown names list the nearest.
        UnavailableError: If timm cannot fetch its weights.
    """
    from segdistill.networks.zoo import create as build  # timm, which the losses and the distiller do without

    if num_classes is None:
        raise ArgumentError("`num_classes` must be given for a network of the zoo; got None.")
    known = [key for key in inspect.signature(build).parameters if key not in _NOT_OPTIONS]
    check_options(options, known, "the zoo")
    network = build(name, num_classes=num_classes, pretrained=pretrained, **options)
    if weights is not None:
        load_weights(network, weights)
    return network
