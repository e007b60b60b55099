"""A trained network from a run folder or a file, ready to predict."""

import math
from pathlib import Path
from typing import Any

from segdistill import store
from segdistill.labels import LabelTable
from segdistill.networks import load_official, read_student
from segdistill.prediction.predictor import Predictor
from segdistill.util import ArgumentError, RunError


def load(path: str | Path) -> Predictor:
    """A trained network, ready to predict.

    Args:
        path: A run folder, or a ``student.safetensors``.

    Raises:
        ValueError: If it is neither; the message says what was found.
    """
    return load_predictor(path)


def load_predictor(path: str | Path, *, official: str | None = None, labels: LabelTable | None = None) -> Predictor:
    """As `load`; also a checkpoint of the paper's authors (``.pth``), given its name and the label table."""
    path = Path(path)
    if path.suffix in (".pth", ".tar", ".pkl", ".pt"):
        if official is None or labels is None:
            raise ArgumentError(
                f"{path} is a checkpoint of the authors, say which network it is and for which classes."
            )
        network = load_official(path, official, num_classes=labels.num_classes)
        return Predictor(network.eval(), labels.names, labels.colors, network.preprocessing)
    file = path / store.STUDENT if path.is_dir() else path
    if not file.is_file():
        raise RunError(
            f"{path} must be a run folder or a {store.STUDENT}; it holds no such file. Is the run complete?"
            if path.exists()
            else f"{path} does not exist."
        )
    student, metadata = read_student(file)
    table = LabelTable.from_json(metadata["labels"])
    if table.num_classes != student.num_classes:
        raise ArgumentError(
            f"{file} must name its {student.num_classes} classes; its label table has {table.num_classes}."
        )
    return Predictor(
        student.eval(), table.names, table.colors, student.preprocessing, _image_scale(file, metadata), metadata
    )


def _image_scale(file: Path, metadata: dict[str, Any]) -> float:
    text = metadata.get("image_scale", "1.0")
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not 0 < scale < math.inf:
        raise ArgumentError(f"{file} must have a positive number as its image_scale; got {text!r}.")
    return scale
