"""A trained network from a run folder or a file, ready to predict."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from segdistill import store
from segdistill.labels import LabelTable
from segdistill.networks import EXPORTED, Network, create_network, read_exported, read_network
from segdistill.prediction.predictor import Predictor
from segdistill.util import ArgumentError, RunError, WeightsError

CHECKPOINTS = (".pth", ".tar", ".pkl", ".pt")


def load(path: str | Path, student: nn.Module | str | None = None) -> Predictor:
    """A trained network, ready to predict.

    Args:
        path: A run folder, a ``student.safetensors``, or a file that `export` wrote: ``.onnx``, ``.xml``, ``.pt2``.
        student: The untrained module, where the network came from code of your own: plain, a `Network`, or the place
            of a function that builds it, ``module:function``.

    Raises:
        RunError, WeightsError: If it is neither; the message says what was found.

    Example:
        >>> load("runs/nothing")
        Traceback (most recent call last):
        segdistill.util.errors.RunError: runs/nothing does not exist.
    """
    file = weights_file(path)
    if file.suffix in EXPORTED:
        exported, facts = read_exported(file)
        return Predictor(exported, metadata=facts.about)  # it resizes by itself
    network, header = read_network(file, student)
    return Predictor(network, _image_scale(file, header), header)


def load_predictor(
    path: str | Path,
    *,
    source: str | None = None,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    labels: LabelTable | None = None,
    student: nn.Module | str | None = None,
) -> Predictor:
    """As `load`; also a file of weights of another source, given what `create_network` needs beside it.

    Args:
        path: Run folder, ``student.safetensors``, or a file of weights of ``source``.
        source: Name in ``SOURCES``; None for what a run wrote.
        name: Of the network in its source.
        options: Of the source.
        labels: The classes that the network is taken to know, where its file does not name them.
        student: As in `load`.
    """
    if source is None and Path(path).suffix not in CHECKPOINTS:
        return load(path, student)
    count = None if labels is None else labels.num_classes
    network = load_network(path, source=source, name=name, options=options, num_classes=count)
    network.labels = network.labels or labels
    return Predictor(network)


def load_network(
    path: str | Path | None,
    *,
    source: str | None = None,
    name: str | None = None,
    pretrained: bool | str = False,
    options: Mapping[str, Any] | None = None,
    num_classes: int | None = None,
) -> Network:
    """A trained network of any source, on the CPU and in evaluation mode; it knows its classes if they can be known.

    Args:
        path: Run folder, ``student.safetensors``, or a file of weights of ``source``; None where the source has them.
        source: Name in ``SOURCES``; None for what a run wrote.
        name: Of the network in its source.
        pretrained: Weights that the source has.
        options: Of the source.
        num_classes: Of the network, where the source cannot tell.

    Raises:
        ArgumentError: If it is not said which network it is, or nothing says where its weights are.
    """
    if source is None and path is not None and Path(path).suffix not in CHECKPOINTS:
        return read_network(weights_file(path))[0]
    if source is None or name is None:
        raise ArgumentError(
            f"{path} does not say which network it is. Give its source and name, for example source official and name "
            "deeplabv3_resnet101 for a checkpoint of the paper's authors."
        )
    weights = weights_file(path) if path is not None and Path(path).is_dir() else path

    def create(count: int | None) -> Network:
        return create_network(
            name, source=source, num_classes=count, weights=weights, pretrained=pretrained, options=options
        )

    try:
        network = create(None)
    except ArgumentError as error:
        if num_classes is None or "`num_classes`" not in str(error):
            raise
        if weights is None and not pretrained:
            raise ArgumentError(
                f"`weights` must be given for {name} of the source {source}, which brings none: a run folder or a file."
            ) from error
        network = create(num_classes)
    return network.eval()


def weights_file(path: str | Path) -> Path:
    """The file of weights of a run folder, or the file itself.

    Raises:
        RunError: If there is none.
    """
    path = Path(path)
    file = path / store.STUDENT if path.is_dir() else path
    if file.is_file():
        return file
    raise RunError(
        f"{path} must be a run folder or a {store.STUDENT}; it holds no such file. Is the run complete?"
        if path.exists()
        else f"{path} does not exist."
    )


def _image_scale(file: Path, header: dict[str, str]) -> float:
    text = header.get("image_scale", "1.0")
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not 0 < scale < math.inf:
        raise WeightsError(f"{file} must have a positive number as its image_scale; got {text!r}.")
    return scale
