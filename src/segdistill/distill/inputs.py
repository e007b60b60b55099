"""What a distiller is given at a step: looked at before it is used, so that a mistake ends as one sentence."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from segdistill.networks import ALONE
from segdistill.types import IGNORE_INDEX, SegOutput
from segdistill.util import ArgumentError

_IGNORED_BY_TORCH: Final = -100


def check_images(images: Tensor) -> None:
    """Refuse images that are no floating-point (B, C, H, W)."""
    if images.ndim != 4 or not images.is_floating_point():
        remedy = " Divide them by 255." if images.dtype == torch.uint8 else ""
        raise ArgumentError(
            "`images` must be floating-point numbers (B, 3, H, W), RGB in [0, 1]; "
            f"got {images.dtype} of shape {tuple(images.shape)}.{remedy}"
        )


def class_numbers(labels: Tensor | None, images: Tensor) -> Tensor | None:
    """Labels as int64 (B, H, W); those of another integer type, or with a channel of one, are converted.

    -100, which torch and transformers ignore, becomes ``IGNORE_INDEX``.

    Raises:
        ArgumentError: If they are no integers or not of these images.
    """
    if labels is None:
        return None
    flat = labels[:, 0] if labels.ndim == 4 and labels.shape[1] == 1 else labels
    integers = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    if flat.ndim != 3 or len(flat) != len(images) or not integers:
        raise ArgumentError(
            f"`labels` must be integers (B, H, W) for {len(images)} images; "
            f"got {labels.dtype} of shape {tuple(labels.shape)}."
        )
    numbers = flat.long()
    return numbers.masked_fill(numbers == _IGNORED_BY_TORCH, IGNORE_INDEX)


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Refuse labels on the CPU that are no classes; on a GPU, and in compiled code, looking would cost a wait."""
    if labels.device.type != "cpu" or torch.compiler.is_compiling():
        return
    wrong = labels[((labels < 0) | (labels >= num_classes)) & (labels != IGNORE_INDEX)]
    if len(wrong):
        raise ArgumentError(
            f"`labels` must be classes, 0 to {num_classes - 1}, or {IGNORE_INDEX} for pixels that do not count; "
            f"got {int(wrong[0])}. Map your ids to the classes of the student."
        )


def teacher_outputs(output: SegOutput | Mapping[str, SegOutput] | None) -> dict[str, SegOutput]:
    """What teachers answered, by name; one alone is called ``teacher``.

    Raises:
        ArgumentError: If a network answered that is not wrapped in a Teacher.
    """
    if output is None:
        return {}
    outputs = dict(output) if isinstance(output, Mapping) else {ALONE: output}
    for one in outputs.values():
        if not isinstance(one, SegOutput):
            raise ArgumentError(
                "`teacher_output` must be what a Teacher answers, a SegOutput, or several by name; "
                f"got {type(one).__name__}. Wrap the network: Teacher(network)(images)."
            )
    return outputs
