"""Whether an exported file answers as the network does: on real images, at several sizes."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from segdistill.deploy.tracing import as_layout
from segdistill.networks import Network
from segdistill.prediction import Deployable
from segdistill.store import Difference
from segdistill.util import NetworkError

EQUAL: Final = 0.999
"""Share of pixels of one class that a file must reach which gives nothing but classes."""


class Proof(NamedTuple):
    """What was found.

    Attributes:
        differences: By size.
        problem: The first that is above the limit, in words; None: all are below.
    """

    differences: list[Difference]
    problem: str | None


def sizes_of(height: int, width: int) -> list[tuple[int, int]]:
    """Three sizes: that of the images, an odd smaller one, and one of another shape.

    >>> sizes_of(360, 480)
    [(360, 480), (271, 361), (180, 480)]
    """
    return [(height, width), (height * 3 // 4 | 1, width * 3 // 4 | 1), (max(32, height // 2), width)]


def prove(
    ship: Deployable, exported: Network, images: Sequence[Tensor], sizes: Sequence[tuple[int, int]], limit: float
) -> Proof:
    """Compare the file with the network it was made of.

    Args:
        ship: What was exported, before it was made portable.
        exported: The file, read back.
        images: (C, H, W) in [0, 1].
        sizes: To which the images are resized in turn.
        limit: Largest difference that is no problem, as a share of the largest logit.
    """
    differences = [_difference(ship, exported, images, size) for size in sizes]
    problems = [_problem(difference, limit) for difference in differences]
    return Proof(differences, next(filter(None, problems), None))


@torch.no_grad()
def _difference(ship: Deployable, exported: Network, images: Sequence[Tensor], size: tuple[int, int]) -> Difference:
    largest = total = highest = 0.0
    equal = count = numbers = 0
    for image in images:
        fed = F.interpolate(image[None], size=size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
        fed = (fed * 255).round() / 255  # as bytes, which both layouts hold
        expected, found = ship(as_layout(fed, ship.layout)), exported.segment(fed)
        classes = expected if ship.argmax else expected.argmax(1)
        if found[:, 0].shape != classes.shape:
            raise NetworkError(
                f"the file gives {tuple(found.shape)} for an image of {size[0]}x{size[1]}, and the network "
                f"{tuple(expected.shape)}: it does not take this size. Give one --size."
            )
        equal += int((found.argmax(1) == classes).sum())
        count += classes.numel()
        if not ship.argmax:
            apart = (found.double() - expected.double()).abs()
            largest = max(largest, apart.max().item()) if bool(apart.isfinite().all()) else float("inf")
            total, numbers = total + apart.sum().item(), numbers + apart.numel()
            highest = max(highest, expected.abs().max().item())
    known = not ship.argmax and largest < float("inf")
    return Difference(
        size=size,
        images=len(images),
        largest=largest if known else None,
        mean=total / numbers if known else None,
        largest_logit=None if ship.argmax else highest,
        equal=equal / count,
    )


def _problem(found: Difference, limit: float) -> str | None:
    size = f"{found.size[0]}x{found.size[1]}"
    if found.largest_logit is None:
        if found.equal >= EQUAL:
            return None
        return f"at {size} {100 * found.equal:.3f} % of the pixels have the class of the trained network"
    if found.largest is None:
        return f"at {size} it gives numbers that are not finite"
    if found.largest <= limit * found.largest_logit:
        return None
    return (
        f"at {size} its logits differ by up to {found.largest:.2g}, where {limit:g} of the largest logit, "
        f"{limit * found.largest_logit:.2g}, is allowed"
    )
