"""IFVD: how far each pixel's feature lies from the mean feature of its class, as the teacher sees it."""

import torch
from torch import Tensor

from segdistill.losses.base import DistillationLoss
from segdistill.losses.common.pair import matched_pair
from segdistill.losses.common.resize import match_labels
from segdistill.ops import check_count, unit, without_autocast
from segdistill.types import IGNORE_INDEX


def ifvd(student: Tensor, teacher: Tensor, labels: Tensor, *, num_classes: int | None = None) -> Tensor:
    r"""Compare the spread of features inside each class with the teacher's.

    The prototype of a class in an image is the mean feature of the pixels labelled with it; a pixel's
    similarity is the cosine between its feature and the prototype of its class. The loss is the mean squared
    difference of the two similarity maps:

    .. math::
        \frac{1}{B H W} \sum_{b,x} \bigl(\cos(s_{bx}, \bar s_{b,y(x)}) - \cos(t_{bx}, \bar t_{b,y(x)})\bigr)^2

    Pixels of ``IGNORE_INDEX`` have no class: they add nothing to the sum, but count in its divisor.

    Args:
        student: Features (B, C, h, w), resized bilinearly to the teacher's size if needed.
        teacher: Features (B, C', H, W) of any width, treated as constant.
        labels: (B, H', W') integers, resized by nearest neighbour.
        num_classes: K, above every label but ``IGNORE_INDEX``. None: read from the labels, which makes a GPU
            wait.

    Returns:
        Scalar, float32 or more; zero with a zero gradient where no pixel has a label.

    Raises:
        ValueError: If batches or shapes do not fit, or ``num_classes`` is not a positive integer.

    Source:
        Wang et al., Intra-class Feature Variation Distillation, ECCV 2020, as in the code of CIRKD: equal in
        value and gradient.

    Example:
        >>> student, teacher = torch.rand(2, 8, 6, 6), torch.rand(2, 32, 6, 6)
        >>> labels = torch.randint(0, 5, (2, 48, 48))
        >>> ifvd(student, teacher, labels, num_classes=5).shape
        torch.Size([])
        >>> ifvd(teacher, teacher, labels).item()
        0.0
    """
    if num_classes is not None:
        check_count("num_classes", num_classes)
    with without_autocast(teacher):
        student, teacher = matched_pair(student, teacher)
        labels = match_labels(labels, teacher).flatten(1)
        if num_classes is None:
            num_classes = int(labels.masked_fill(labels == IGNORE_INDEX, 0).max()) + 1
        member = membership(labels, num_classes, teacher.dtype)
        return (_similarity(student, member) - _similarity(teacher, member)).square().mean()


def membership(labels: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """Turn labels (B, N) into (B, N, K): 1 at a pixel's class, all 0 where it has none.

    >>> membership(torch.tensor([[1, 255]]), 2, torch.float32)
    tensor([[[0., 1.],
             [0., 0.]]])
    """
    classes = torch.arange(num_classes, device=labels.device)
    return ((labels[..., None] == classes) & (labels != IGNORE_INDEX)[..., None]).to(dtype)


def _similarity(features: Tensor, member: Tensor) -> Tensor:
    """Cosine (B, N) of each pixel of (B, C, h, w) with its class's mean; ``member`` is (B, N, K), 0 or 1.

    A cosine with the sum is one with the mean, and products with ``member`` sum and spread without atomics.
    """
    pixels = features.flatten(2).mT
    prototypes = unit(member.mT @ pixels)
    return (unit(pixels) * (member @ prototypes)).sum(-1)


class IFVDLoss(DistillationLoss):
    """Intra-class feature variation distillation as a module; the formula is that of :func:`ifvd`.

    Args:
        num_classes: As in :func:`ifvd`; filled in by the `Distiller`.

    Raises:
        ValueError: If ``num_classes`` is not a positive integer.

    Example:
        >>> loss = IFVDLoss(num_classes=5)
        >>> loss(torch.rand(2, 8, 6, 6), torch.rand(2, 32, 6, 6), torch.randint(0, 5, (2, 48, 48))).shape
        torch.Size([])
    """

    title = "IFVD"
    layer = "head"
    published = 20.0
    uses_labels = True

    def __init__(self, num_classes: int | None = None) -> None:
        super().__init__()
        if num_classes is not None:
            check_count("num_classes", num_classes)
        self.num_classes = num_classes

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Compare features (B, C, h, w) and (B, C', H, W) under labels (B, H', W'); a scalar.

        Raises:
            ValueError: If batches or shapes do not fit.
        """
        return ifvd(student, teacher, labels, num_classes=self.num_classes)
