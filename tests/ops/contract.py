"""What every op promises, whatever it computes; `test_contract.py` holds each of ``OPS`` to it."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from segdistill.ops import conv3x3, dense_contrast, masked_conv, squared_error

IMPLS = ("reference", "fused", "auto")
SIZES = [(3, 2), (5, 7), (4, 3), (9, 2)]  # of a map
CUT = {"groups": 3, "patch_size": (3, 2), "temperature": 0.5}


@dataclass(frozen=True)
class Op:
    """An op as the contract sees it.

    Attributes:
        name: In its sentences.
        run: Of tensors and ``impl``.
        shapes: Of its tensors, for maps of a size.
        differentiable: Which of them get a gradient.
        auto: What ``"auto"`` takes for them on a CPU.
        scalar: Whether the result is in float32 or more; else it has the dtype of the first tensor.
        refusal: Why its fused form cannot run on the meta device; None where it can.
    """

    name: str
    run: Callable[..., Tensor]
    shapes: Callable[[int, int], list[tuple[int, ...]]]
    differentiable: tuple[int, ...]
    auto: str
    scalar: bool = False
    refusal: str | None = None

    def tensors(self, size: tuple[int, int] = (5, 7), dtype: torch.dtype = torch.float64) -> list[Tensor]:
        """Some numbers, the same at every call."""
        generator = torch.Generator().manual_seed(0)
        made = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in self.shapes(*size))
        return [x.to(dtype) for x in made]

    def results(self, impl: str, tensors: list[Tensor]) -> list[Tensor]:
        """The value and every gradient, for a slope that is not 1."""
        tensors = [x.detach().clone() for x in tensors]
        leaves = [tensors[i].requires_grad_() for i in self.differentiable]
        value = self.run(*tensors, impl=impl)
        slope = torch.linspace(-2, 3, value.numel(), dtype=value.dtype).view_as(value)
        return [value.detach(), *torch.autograd.grad(value, leaves, slope)]


def contrast(negatives: str, distance: str) -> Op:
    return Op(
        "dense contrast",
        lambda *maps, **options: dense_contrast(*maps, negatives=negatives, distance=distance, **CUT, **options),
        lambda height, width: 2 * [(2, 12, height, width)],
        (0,),
        "fused",
        scalar=True,
        refusal="there is none for the device 'meta'",
    )


def masked(student: int, channels: int, auto: str) -> Op:
    def run(x: Tensor, drawn: Tensor, *parameters: Tensor, **options: Any) -> Tensor:
        return masked_conv(x, (drawn > 0.5).to(x.dtype), *parameters, **options)

    def shapes(height: int, width: int) -> list[tuple[int, ...]]:
        maps = [(2, student, height, width), (2, 1, height, width)]
        return [*maps, (channels, student, 1, 1), (channels,), (channels + 2, channels, 3, 3), (channels + 2,)]

    return Op("masked convolution", run, shapes, (0, 2, 3, 4, 5), auto)


def convolution(channels: int, auto: str) -> Op:
    def shapes(height: int, width: int) -> list[tuple[int, ...]]:
        return [(2, channels, height, width), (channels + 2, channels, 3, 3), (channels + 2,)]

    refusal = "there is none for the device 'meta'"
    return Op("3x3 convolution", conv3x3, shapes, (0, 1, 2), auto, refusal=refusal)


OPS = {
    **{
        f"contrast, {', '.join(kind)}": contrast(*kind)
        for kind in itertools.product(("other_groups", "omni", "channel", "spatial"), ("l1", "l2", "cosine"))
    },
    "masked, narrow": masked(40, 6, "reference: composing the kernel costs more than it saves"),
    "masked, wide": masked(8, 128, "fused"),
    "convolution, narrow": convolution(5, "reference: it pays from 128 channels on"),
    "convolution, wide": convolution(128, "fused"),
    "squared error": Op(
        "squared error", squared_error, lambda height, width: 2 * [(3, 4, height, width)], (0,), "fused", scalar=True
    ),
}
