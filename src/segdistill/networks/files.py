"""A trained network as one file: its tensors, and in the header all that builds it again and names its classes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save
from torch import nn

from segdistill.labels import LabelTable
from segdistill.networks.network import Network
from segdistill.networks.own import own_network
from segdistill.networks.sources import build_again
from segdistill.networks.tensors import fill, read_tensors
from segdistill.networks.wrapping import as_network
from segdistill.util import ArgumentError, WeightsError, seal, write_atomic

FORMAT: Final = "segdistill-network-1"


def save_network(path: str | Path, network: Network, *, extra: Mapping[str, str] | None = None) -> None:
    """Write a network to one safetensors file, all of it or nothing; the same network gives the same bytes.

    The header holds ``format``, ``spec`` (what `create_network` takes; JSON null where the network came from a user's
    own code), ``labels`` (its class table as JSON) and a digest of everything.

    Args:
        path: The file. An older one is replaced at the end, in one step.
        network: The network, on any device, with ``labels``.
        extra: Further strings for the header.

    Raises:
        ArgumentError: If it is no `Network` or has no labels, or ``extra`` uses a name of the header.
    """
    if not isinstance(network, Network):
        raise ArgumentError(
            f"`network` must be a Network; got {type(network).__name__}. Wrap it: Network(module, ...)."
        )
    if network.labels is None:
        raise ArgumentError("`network` must know its classes to be saved; got one without `labels`.")
    header = {
        "format": FORMAT,
        "spec": json.dumps(network.spec, sort_keys=True),
        "labels": json.dumps(network.labels.to_json()),
    }
    taken = sorted(header.keys() & (extra or {}).keys())
    if taken:
        raise ArgumentError(f"`extra` must not use the header's own names; got {', '.join(taken)}.")
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.module.state_dict().items()}
    write_atomic(Path(path), seal(save(tensors, {**header, **(extra or {})})))


def read_network(path: str | Path, module: nn.Module | str | None = None) -> tuple[Network, dict[str, str]]:
    """Read what `save_network` wrote; the file may come from anywhere.

    Args:
        path: The file.
        module: The untrained module, where the network came from a user's own code and cannot be built by name: plain,
            a `Network`, or the place of a function that builds it, ``module:function``.

    Returns:
        The network, on the CPU and in evaluation mode, and the strings of the header.

    Raises:
        MissingFileError: If there is no such file.
        WeightsError: If it is damaged, of something else, or its tensors are not exactly those of its network.
        NetworkError: If its network cannot be built.
    """
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise WeightsError(
            f"{path} must be a network saved by segdistill ({FORMAT}); its header says {header.get('format')!r}. "
            "Weights of a backbone go into `pretrained`."
        )
    spec = _parse(path, header, "spec")
    labels = LabelTable.from_json(_parse(path, header, "labels") or {})
    if isinstance(module, str):
        module = own_network(module, labels.num_classes, role="student")
    if module is not None:
        network = as_network(module, role="network")
    elif spec is None:
        raise WeightsError(
            f"{path} holds a network of somebody's own code, which a file does not bring. Build the module and give it "
            "too: sd.load(path, student=module), or --student MODULE:FUNCTION."
        )
    else:
        network = build_again(spec)
    if network.num_classes not in (None, labels.num_classes):
        raise WeightsError(f"{path} must name its {network.num_classes} classes; its table has {labels.num_classes}.")
    network.labels = labels
    fill(network.module, tensors, f"{path} must hold the tensors of {network!r}")
    return network.eval(), header


def _parse(path: str | Path, header: Mapping[str, str], entry: str) -> dict[str, Any] | None:
    try:
        value = json.loads(header[entry])
    except (KeyError, ValueError):
        value = False
    if value is not None and not isinstance(value, dict):
        raise WeightsError(f"{path} must have a JSON object `{entry}` in its header, and has not.")
    return value
