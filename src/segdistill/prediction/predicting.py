"""The verb: masks and overlays of many images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from segdistill.prediction.files import predict_files
from segdistill.prediction.load import load_predictor
from segdistill.prediction.predictor import Predictor
from segdistill.util import ArgumentError, as_path, verb

DEVICES = ("auto", "cpu", "cuda")


class Predicted(NamedTuple):
    """What was written.

    Attributes:
        folder: Where masks and overlays lie.
        masks: A file an image, in order.
    """

    folder: Path
    masks: list[Path]

    def frame(self) -> list[dict[str, Any]]:
        """A row an image: ``mask``, the path of its file."""
        return [{"mask": str(mask)} for mask in self.masks]


@verb
def predict(
    run: str | Path | Predictor,
    source: str | Path,
    *,
    out: str | Path = "predictions",
    device: str = "auto",
    on_mask: Callable[[Path], None] | None = None,
) -> Predicted:
    """Write a class mask and an overlay for every image.

    Args:
        run: A run folder, a ``student.safetensors``, or what `load` made of one.
        source: An image, a folder of images, or a glob pattern.
        out: Folder of masks and overlays.
        device: ``cpu``, ``cuda``, or ``auto``: cuda if there is one.
        on_mask: Called with the path of each mask when it is written.

    Raises:
        SegdistillError: What is wrong with the network, the device or an image, in a sentence.

    Example:
        ``sd.predict("runs/student", "photos/*.jpg", out="masks").masks`` is the list of files.
    """
    if device not in DEVICES:
        raise ArgumentError(f"`device` must be auto, cpu or cuda; got {device!r}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("`device` is cuda, but torch sees no GPU here. Take cpu.")
    predictor = run if isinstance(run, Predictor) else load_predictor(as_path("run", run))
    chosen = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    folder, images = as_path("out", out), str(as_path("source", source))
    masks = []
    for mask in predict_files(predictor.to(chosen), images, folder):
        masks.append(mask)
        if on_mask is not None:
            on_mask(mask)
    return Predicted(folder, masks)
