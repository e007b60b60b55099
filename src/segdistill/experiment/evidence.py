"""What a run writes beside its weights: environment, log, pictures, TensorBoard, latency."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from segdistill import store
from segdistill.data import preview
from segdistill.engine import Protocol, Segment, class_scores, to_device
from segdistill.labels import ignored_color
from segdistill.store import Gallery, ImageScore
from segdistill.types import IGNORE_INDEX, Batch


def write_gallery(
    folder: Path,
    segments: Mapping[str, Segment],
    loader: Iterable[Batch],
    samples: Sequence[ImageScore],
    *,
    colors: Sequence[tuple[int, int, int]],
    device: torch.device,
    protocol: Protocol,
) -> None:
    """Write images, their truth and predictions in class colours for the report; replaces what was there.

    Args:
        folder: ``image_000.png``, ``truth_000.png``, one picture for every name in ``segments``, ...
        segments: Networks by the name of their pictures: ``prediction``, ``teacher``.
        loader: The images, one a batch.
        samples: Name and mIoU of each.
        colors: Of the classes.
        device: Where to run.
        protocol: How to predict.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*_[0-9][0-9][0-9].png"):
        old.unlink()
    for index, cpu_batch in enumerate(loader):
        batch = to_device(cpu_batch, device)
        size = batch.target.shape[-2:]
        shown = preview(cpu_batch.image[0])[None].float()
        pixels = F.interpolate(shown, size, mode="bilinear", antialias=True).clamp(0, 255).round()
        pictures = {
            "image": pixels[0].permute(1, 2, 0).to(torch.uint8).numpy(),
            "truth": colored(batch.target[0], colors),
        }
        for name, segment in segments.items():
            pictures[name] = colored(class_scores(segment, batch.image, size, protocol).argmax(1)[0], colors)
        for name, array in pictures.items():
            Image.fromarray(array).save(folder / f"{name}_{index:03d}.png")
    store.write_record(folder / Path(store.GALLERY_INDEX).name, Gallery(samples=list(samples)))


def colored(ids: Tensor, colors: Sequence[tuple[int, int, int]]) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Class ids (H, W) as an RGB picture; ignored pixels have a colour of no class."""
    table = np.full((IGNORE_INDEX + 1, 3), ignored_color(colors), np.uint8)
    for index, color in enumerate(colors):
        table[index] = color
    picture: np.ndarray[Any, np.dtype[np.uint8]] = table[ids.cpu().numpy()]
    return picture
