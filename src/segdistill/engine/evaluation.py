"""Scoring a network: one pass over a set, one confusion matrix."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from segdistill.data import to_unit
from segdistill.metrics import Scores, confusion_matrix, scores
from segdistill.networks import resize_logits
from segdistill.types import Batch

Segment = Callable[[Tensor], Tensor]
"""From images (B, 3, H, W), RGB in [0, 1], to logits (B, K, h, w)."""

WINDOW_OVERLAP = 1 / 3


class Protocol(NamedTuple):
    """How scores are taken. Its text stands beside every number.

    Attributes:
        scales: Image scales whose probabilities are averaged.
        flip: Also average over the mirrored image.
        window: (height, width) of a sliding window in pixels, overlapping by a third; None for the whole image.
        absent: ``"skip"`` or ``"zero"``: classes in neither labels nor predictions, see `metrics.scores`.
    """

    scales: Sequence[float] = (1.0,)
    flip: bool = False
    window: tuple[int, int] | None = None
    absent: str = "skip"

    @property
    def views(self) -> list[tuple[float, bool]]:
        """(scale, mirrored) of every view that is averaged."""
        return [(scale, mirrored) for scale in self.scales for mirrored in ((False, True) if self.flip else (False,))]

    def describe(self, dataset: str, split: str, num_images: int, num_classes: int, image_scale: float = 1.0) -> str:
        """One line, for example ``camvid val (101 images), whole image, 1x, no flip, 11 classes, ...``."""
        area = "whole image" if self.window is None else f"{self.window[0]}x{self.window[1]} window"
        scales = "+".join(f"{scale:g}x" for scale in self.scales)
        mean = "classes that occur" if self.absent == "skip" else "all classes, absent ones as 0"
        return (
            f"{dataset} {split} ({num_images} images), {area}"
            f"{'' if image_scale == 1 else f' resized by {image_scale:g}'}, {scales}, "
            f"{'flip' if self.flip else 'no flip'}, {num_classes} classes, labels at native size, mean over {mean}"
        )


def to_device(batch: Batch, device: torch.device, memory_format: torch.memory_format = torch.preserve_format) -> Batch:
    """Move a batch, bring its images to float in [0, 1] and its labels to int64: the only device move.

    The host does not wait for copies from pinned memory; what is a byte a pixel is moved as such.
    """
    return Batch(as_unit(batch.image, device, memory_format), batch.target.to(device, non_blocking=True).long())


def as_unit(image: Tensor, device: torch.device, memory_format: torch.memory_format = torch.preserve_format) -> Tensor:
    """Images (B, 3, H, W) on a device as float in [0, 1]; bytes are moved while they are small."""
    image = image.to(device, non_blocking=True).to(memory_format=memory_format)
    return to_unit(image)


@torch.no_grad()
def class_scores(segment: Segment, image: Tensor, size: Sequence[int], protocol: Protocol) -> Tensor:
    """Scores (B, K, *size) whose largest channel is the prediction.

    Logits for a single view; the mean of softmax probabilities where ``protocol`` asks for several.
    """
    views = protocol.views
    total: Tensor | None = None
    for scale, mirrored in views:
        view = image
        if scale != 1:
            view = F.interpolate(view, scale_factor=scale, mode="bilinear", align_corners=False, antialias=True)
        if mirrored:
            view = view.flip(-1)
        logits = segment(view) if protocol.window is None else slide(segment, view, protocol.window)
        logits = resize_logits(logits.float(), size)
        if mirrored:
            logits = logits.flip(-1)
        if len(views) > 1:
            logits = logits.softmax(1) / len(views)
        total = logits if total is None else total + logits
    assert total is not None
    return total


def slide(segment: Segment, image: Tensor, window: tuple[int, int]) -> Tensor:
    """Mean logits (B, K, H, W) of overlapping windows; the last window of a row or column ends at the border."""
    size = (image.shape[-2], image.shape[-1])
    return torch.cat(list(slide_rows(segment, lambda top, bottom: image[..., top:bottom, :], size, window)), 2)


def slide_rows(
    segment: Segment, rows: Callable[[int, int], Tensor], size: tuple[int, int], window: tuple[int, int]
) -> Iterator[Tensor]:
    """What `slide` gives, from top to bottom, as soon as rows are finished: (B, K, n, W) with any n.

    Args:
        segment: The network.
        rows: Gives the rows from one number to another, (B, 3, bottom - top, W).
        size: Height and width of the image.
        window: Height and width of a window. Memory is for as many rows of logits.
    """
    (height, width), window = size, (min(window[0], size[0]), min(window[1], size[1]))
    tops = _starts(height, window[0])
    begun: tuple[Tensor, Tensor] | None = None  # rows that the next row of windows overlaps
    for top, next_top in zip(tops, [*tops[1:], height], strict=True):
        image = rows(top, top + window[0])
        total: Tensor | None = None
        count = image.new_zeros(1, 1, window[0], width)
        for left in _starts(width, window[1]):
            here = (..., slice(left, left + window[1]))
            logits = resize_logits(segment(image[here]).float(), window)
            if total is None:
                total = logits.new_zeros(*logits.shape[:2], window[0], width)
                if begun is not None:
                    total[:, :, : begun[0].shape[2]], count[:, :, : begun[1].shape[2]] = begun
            total[here] += logits
            count[here] += 1
        assert total is not None
        done = next_top - top
        begun = total[:, :, done:].clone(), count[:, :, done:].clone()
        yield total[:, :, :done].div_(count[:, :, :done])


def _starts(length: int, window: int) -> list[int]:
    stride = max(1, round(window * (1 - WINDOW_OVERLAP)))
    return [*range(0, length - window, stride), length - window]


@torch.no_grad()
def evaluate(
    segment: Segment,
    loader: Iterable[Batch],
    *,
    num_classes: int,
    device: torch.device,
    protocol: Protocol = Protocol(),
    precision: torch.dtype = torch.float32,
    on_image: Callable[[Batch, Tensor], None] | None = None,
) -> Tensor:
    """Confusion matrix (K, K) of this process's share of the set; see `metrics.scores`.

    Args:
        segment: The network, from images in [0, 1] to logits.
        loader: Batches; labels may be larger or smaller than the images.
        num_classes: K.
        device: Where to run.
        protocol: How.
        precision: ``torch.bfloat16`` for autocast.
        on_image: Called with every batch on the device and its prediction (B, H, W).
    """
    total = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)
    for cpu_batch in loader:
        batch = to_device(cpu_batch, device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
            prediction = class_scores(segment, batch.image, batch.target.shape[-2:], protocol).argmax(1)
        total += confusion_matrix(prediction, batch.target, num_classes)
        if on_image is not None:
            on_image(batch, prediction)
    return total


def score(confusion: Tensor, protocol: Protocol) -> Scores:
    """Scores under a protocol."""
    return scores(confusion, absent=protocol.absent)
