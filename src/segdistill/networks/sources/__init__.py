"""Where networks come from: one adapter a file, and the one function that asks them.

An adapter is a function ``create(name, *, num_classes, weights, pretrained, options) -> Network``. It imports its
library when it is called, so that nobody pays for a library that is not used, and gives the network a `spec` that
builds it again.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from segdistill.networks.network import Network
from segdistill.networks.sources import huggingface, official, openmmlab, smp, torchvision, zoo
from segdistill.util import ArgumentError, NetworkError, nearest

SOURCES: Final[dict[str, Callable[..., Network]]] = {
    "huggingface": huggingface.create,
    "official": official.create,
    "openmmlab": openmmlab.create,
    "smp": smp.create,
    "torchvision": torchvision.create,
    "zoo": zoo.create,
}
"""Every source by the name that recipes use."""

_SPEC = {"source", "name", "num_classes", "options"}


def create_network(
    name: str,
    *,
    source: str = "zoo",
    num_classes: int | None = None,
    weights: str | Path | None = None,
    pretrained: bool | str | Path = False,
    options: Mapping[str, Any] | None = None,
) -> Network:
    """Build a network by name.

    Args:
        name: Of the network in its source, for example ``deeplabv3_resnet18``.
        source: One of ``SOURCES``.
        num_classes: Channels of the logits.
        weights: A file of trained weights of the whole network.
        pretrained: Weights to start from, as the source has them: of the zoo and smp ImageNet weights of the backbone,
            True lets the library fetch them, a path is a safetensors file; torchvision see there.
        options: Further arguments of the source; each is checked against it.

    Returns:
        The network, on the CPU, in training mode unless its weights are trained ones.

    Raises:
        ArgumentError: If a name or option is unknown (the nearest are listed) or out of range.
        WeightsError, MissingFileError, UnavailableError: If weights cannot be had.

    Example:
        >>> network = create_network("deeplabv3_mobilenetv2_050", num_classes=11, options={"output_stride": 16})
        >>> network.channels
        {'layer1': 16, 'layer2': 16, 'layer3': 48, 'layer4': 160, 'head': 128}
    """
    if source not in SOURCES:
        raise ArgumentError(f"`source` must be a known source of networks; got {source!r}. {nearest(source, SOURCES)}")
    return SOURCES[source](
        name, num_classes=num_classes, weights=weights, pretrained=pretrained, options=dict(options or {})
    )


def build_again(spec: Mapping[str, Any]) -> Network:
    """Build the untrained network of a spec, which may come from a file.

    Raises:
        NetworkError: If it is not what a source wrote.
    """
    if set(spec) != _SPEC or not isinstance(spec["options"], dict):
        raise NetworkError(f"a spec must have {', '.join(sorted(_SPEC))}; got {', '.join(sorted(map(str, spec)))}.")
    try:
        return create_network(**spec)
    except (ArgumentError, TypeError, RuntimeError) as error:  # RuntimeError: a width that memory cannot hold
        raise NetworkError(f"the network of a spec cannot be built: {error}") from error
