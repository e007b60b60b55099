"""A trained network as one file: its tensors, and in the header all that is needed to use them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save

from segdistill.networks.tensors import misfit, read_tensors
from segdistill.networks.zoo.create import create_model
from segdistill.networks.zoo.segmenter import Segmenter
from segdistill.util import ArgumentError, write_atomic

FORMAT: Final = "segdistill"
_JSON_ENTRIES = ("architecture", "preprocessing", "labels")
_ARCHITECTURE = {"name", "num_classes", "output_stride", "aux", "backbone", "mean", "std", "bgr"}


def save_student(
    path: str | Path,
    network: Segmenter,
    *,
    labels_json: Mapping[str, Any],
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write a network to one safetensors file, all of it or nothing.

    The header holds ``format`` (``segdistill``) and, as JSON, ``architecture`` (keyword arguments of
    ``create_model``), ``preprocessing`` (``mean``, ``std``, ``bgr``) and ``labels``.

    Args:
        path: The file; its folder must exist. An older file is replaced at the end, in one step.
        network: The network, on any device.
        labels_json: The label table as JSON can hold it.
        extra: Further strings for the header.

    Raises:
        ValueError: If ``network`` is not of the zoo, or ``extra`` uses a name of the header.
    """
    if not isinstance(network, Segmenter):
        raise ArgumentError(
            f"`network` must be a Segmenter; got {type(network).__name__}. "
            "Take it out of its wrapper (DDP, torch.compile) first."
        )
    header = {
        "format": FORMAT,
        "architecture": json.dumps(network.architecture),
        "preprocessing": json.dumps(network.preprocessing._asdict()),
        "labels": json.dumps(labels_json),
    }
    taken = sorted(header.keys() & (extra or {}).keys())
    if taken:
        raise ArgumentError(f"`extra` must not use the header's own names; got {', '.join(taken)}.")
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    write_atomic(Path(path), save(tensors, {**header, **(extra or {})}))


def read_student(path: str | Path) -> tuple[Segmenter, dict[str, Any]]:
    """Read what ``save_student`` wrote; the file may come from anywhere.

    Returns:
        The network, on the CPU and in evaluation mode, and the header: ``architecture``,
        ``preprocessing`` and ``labels`` as dicts, everything else as strings.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a safetensors file, was not written by ``save_student``, or its tensors
            are not exactly those of its architecture.
    """
    tensors, strings = read_tensors(path)
    if strings.get("format") != FORMAT:
        raise ArgumentError(
            f"`path` must be a network saved by segdistill; the header of {path} does not say so. "
            "Weights of a backbone go into create_model(..., pretrained=PATH)."
        )
    header: dict[str, Any] = {**strings, **{entry: _parse(path, strings, entry) for entry in _JSON_ENTRIES}}
    architecture = header["architecture"]
    if set(architecture) != _ARCHITECTURE:
        raise ArgumentError(
            f"`path` must hold an architecture of {', '.join(sorted(_ARCHITECTURE))}; "
            f"{path} has {', '.join(sorted(architecture))}."
        )
    try:
        network = create_model(**architecture)
    except (ValueError, RuntimeError) as error:  # RuntimeError: a width that memory cannot hold
        raise ArgumentError(f"`path` must hold an architecture that can be built; {path}: {error}") from error
    problem = misfit(tensors, network.state_dict())
    if problem:
        raise ArgumentError(f"`path` must hold the tensors of its `{architecture['name']}`; {path}: {problem}.")
    network.load_state_dict(tensors)
    return network.eval(), header


def _parse(path: str | Path, strings: Mapping[str, str], entry: str) -> dict[str, Any]:
    try:
        value = json.loads(strings.get(entry, ""))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ArgumentError(f"`path` must have a JSON object `{entry}` in its header; {path} has not.")
    return value
