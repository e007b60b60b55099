"""From the module that is shipped to the graph that every format is written from."""

import copy
from typing import Any, Final

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from segdistill.networks import made_portable
from segdistill.prediction import Deployable
from segdistill.util import NetworkError

EXAMPLE: Final = (120, 160)
"""Sides of the image that a graph for any size is traced with; wider than high, and multiples of no large stride."""


def portable(ship: Deployable) -> Deployable:
    """A copy in evaluation mode on the CPU whose poolings work at every size in every runtime; the same numbers."""
    copied = copy.deepcopy(ship).cpu().eval()
    made_portable(copied)
    return copied


def trace(ship: Deployable, channels: int, size: tuple[int, int] | None) -> ExportedProgram:
    """The graph, with any number of images, and any height and width unless ``size`` fixes them.

    Raises:
        NetworkError: If torch cannot make one; where it can for one size, the message says so.
    """
    image = as_layout(noise_image(channels, size or EXAMPLE, 2), ship.layout)
    any_side: Any = Dim.DYNAMIC if size is None else None
    rows = 1 if ship.layout == "uint8" else 2
    shapes = {"image": {0: Dim.DYNAMIC, rows: any_side, rows + 1: any_side}}
    try:
        with torch.no_grad():
            program = torch.export.export(ship, (image,), dynamic_shapes=shapes)
    except Exception as error:  # a foreign network may raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        remedy = (
            "Give one size, for example --size 512x1024."
            if size is None
            else "Its forward pass depends on values of the image, or uses what torch.export does not know."
        )
        raise NetworkError(f"the network cannot be made a graph for {_said(size)}: {reason} {remedy}") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def noise_image(channels: int, size: tuple[int, int], images: int) -> Tensor:
    """Noise (B, C, H, W) in [0, 1], always the same."""
    return torch.rand(images, channels, *size, generator=torch.Generator().manual_seed(0))


def as_layout(image: Tensor, layout: str) -> Tensor:
    """Images (B, C, H, W) in [0, 1] as a layout has them."""
    return image if layout == "float" else (image * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _said(size: tuple[int, int] | None) -> str:
    return "images of any size" if size is None else f"images of {size[0]}x{size[1]}"
