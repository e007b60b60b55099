"""Structured knowledge distillation: similarities between positions, and an adversary on the class maps."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from segdistill.losses.base import DistillationLoss
from segdistill.losses.common.discriminator import Discriminator
from segdistill.losses.common.pair import matched_pair
from segdistill.losses.common.resize import match_size
from segdistill.ops import check_choice, check_count, check_map, check_positive, check_together, without_autocast
from segdistill.util import ArgumentError

Objective = Literal["hinge", "wgan-gp"]


def skd_pairwise(student: Tensor, teacher: Tensor, *, pool_size: float = 2) -> Tensor:
    r"""Compare how similar the positions of a map are to each other, in the student and in the teacher.

    Both maps are max-pooled to :math:`n` nodes and every node's vector is scaled to length 1; then, with
    :math:`S_{ij} = f_i \cdot f_j` the cosine of two nodes of one image,

    .. math:: \frac{1}{B n^2} \sum_b \sum_{ij} (S^s_{bij} - S^t_{bij})^2

    The channels are summed away, so widths may differ and no projection is needed. A map of one node has
    nothing to compare: zero.

    Args:
        student: (B, C, h, w), resized bilinearly to the teacher's size if needed.
        teacher: (B, C', H, W), treated as constant.
        pool_size: Height and width of a node. An integer: in cells of the map. A share in (0, 1): of the
            map's height and width, rounded up; 0.5 gives 2x2 nodes. Nodes at the lower and right border may
            be smaller.

    Returns:
        Scalar in [0, 4], float32 or more.

    Raises:
        ValueError: If the maps do not hold the same images or ``pool_size`` is neither.

    Source:
        Liu et al., CVPR 2019; the default equals the code of CIRKD in value and gradient. The authors' own
        code pools to 2x2 nodes (0.5) and treats the lengths of the vectors as constants in the gradient; ours
        differentiates them. A vector of zeros, which has no direction, has similarity 0 and gets no gradient.

    Example:
        >>> student = torch.rand(2, 8, 6, 10)
        >>> skd_pairwise(student, 3 * student).item() < 1e-9
        True
    """
    _check_pool_size(pool_size)
    with without_autocast(teacher):
        student, teacher = matched_pair(student, teacher)
        return F.mse_loss(_similarities(student, pool_size), _similarities(teacher, pool_size))


class SKDLoss(DistillationLoss):
    """The pair-wise part of structured knowledge distillation; the formula is that of :func:`skd_pairwise`.

    Args:
        pool_size: Height and width of a node: an integer number of cells, or a share of the map in (0, 1).

    Raises:
        ValueError: If ``pool_size`` is neither.

    Example:
        >>> SKDLoss()(torch.rand(1, 4, 8, 8), torch.rand(1, 16, 8, 8)).shape
        torch.Size([])
    """

    title = "SKD"
    layer = "head"
    published = 10.0

    def __init__(self, *, pool_size: float = 2) -> None:
        super().__init__()
        _check_pool_size(pool_size)
        self.pool_size = pool_size

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare the similarities within the student's map (B, C, h, w) with those within the teacher's."""
        return skd_pairwise(student, teacher, pool_size=self.pool_size)


class SKDAdversarialTerms(NamedTuple):
    """The two unweighted parts of the adversarial loss.

    Attributes:
        generator: Scalar that teaches the student: its maps shall look like the teacher's. Below or above 0.
        discriminator: Scalar that teaches the discriminator to tell them apart.
    """

    generator: Tensor
    discriminator: Tensor


class SKDAdversarialLoss(DistillationLoss):
    r"""Let a discriminator tell the teacher's class maps from the student's, and the student deceive it.

    With the discriminator's mean score :math:`D` of a map, ``generator`` is :math:`-D(s)` and sends
    its gradient to the student alone; ``discriminator`` sends its own to the discriminator alone. So one
    ``backward`` of their weighted sum serves both, each with its optimizer, see :meth:`own_optimizer`.

    Args:
        num_classes: Channels of the logits.
        objective: ``"hinge"``: ``discriminator`` is mean relu(1 - D(t)) + mean relu(1 + D(s)).
            ``"wgan-gp"``: it is D(s) - D(t) + ``gradient_penalty`` * mean (|dD/dx| - 1)^2, the penalty at
            points drawn uniformly between t and s, one an image, from the global random state.
        gradient_penalty: Factor of the penalty; read by ``"wgan-gp"`` alone.
        lr: Learning rate of the discriminator, constant.

    Raises:
        ValueError: If a number is out of range or the objective unknown.

    Note:
        The discriminator has about 3.2 million parameters. It runs in the precision of its parameters,
        float32 unless moved, with autocast off. Its state (BatchNorm, spectral norm) changes in training mode
        only, by the pass that teaches it and not by the one that teaches the student. The penalty of
        ``"wgan-gp"`` needs second derivatives, which ``SyncBatchNorm`` (several GPUs) does not have.

    Source:
        Liu et al., CVPR 2019; ``"hinge"`` and the weights as in CIRKD, whose tables call this, the pair-wise
        part and logits distillation together SKD. ``"wgan-gp"`` is the default of the authors' code.

    Example:
        >>> loss = SKDAdversarialLoss(5)
        >>> terms = loss(torch.randn(2, 5, 16, 16), torch.randn(2, 5, 16, 16))
        >>> terms._fields
        ('generator', 'discriminator')
    """

    title = "SKD adversarial"
    layer = "logits"
    parts = SKDAdversarialTerms._fields
    beside = ("kd", "skd")
    published: ClassVar[Mapping[str, float]] = {"generator": 1e-3, "discriminator": 0.1}

    def __init__(
        self,
        num_classes: int,
        *,
        objective: Objective = "hinge",
        gradient_penalty: float = 10.0,
        lr: float = 4e-4,
    ) -> None:
        super().__init__()
        check_count("num_classes", num_classes)
        check_choice("objective", objective, get_args(Objective))
        check_positive("gradient_penalty", gradient_penalty)
        check_positive("lr", lr)
        self.num_classes = num_classes
        self.objective: Objective = objective
        self.gradient_penalty = gradient_penalty
        self.lr = lr
        self.discriminator = Discriminator(num_classes)

    @property
    def sometimes_silent(self) -> tuple[str, ...]:
        """The discriminator's part is for the discriminator."""
        return ("discriminator",)

    def own_optimizer(self) -> torch.optim.Optimizer:
        """Return Adam with betas (0.9, 0.99) over the discriminator."""
        return torch.optim.Adam(self.discriminator.parameters(), lr=self.lr, betas=(0.9, 0.99))

    def forward(self, student: Tensor, teacher: Tensor) -> SKDAdversarialTerms:
        """Score both.

        Args:
            student: Logits (B, num_classes, h, w), resized bilinearly to the teacher's size if needed.
            teacher: Logits (B, num_classes, H, W), treated as constant.

        Returns:
            ``SKDAdversarialTerms(generator, discriminator)``, unweighted.

        Raises:
            ValueError: If a shape does not fit.
        """
        check_map("student", student, self.num_classes)
        check_map("teacher", teacher, self.num_classes)
        check_together(student, teacher)
        with without_autocast(teacher):
            dtype = next(self.discriminator.parameters()).dtype
            real = teacher.detach().to(dtype)
            student = match_size(student.to(dtype), real)
            fake = student.detach()
            discriminator = self._discriminator_loss(self.discriminator(real), self.discriminator(fake))
            if self.objective == "wgan-gp":
                discriminator = discriminator + self.gradient_penalty * self._penalty(real, fake)
            return SKDAdversarialTerms(-self.score(student).mean(), discriminator)

    def _discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        if self.objective == "hinge":
            return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        return fake.mean() - real.mean()

    def _penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        """How far the score's slope is from 1, between the teacher's maps and the student's."""
        share = torch.rand(real.shape[0], 1, 1, 1, device=real.device, dtype=real.dtype)
        with torch.enable_grad():
            between = torch.lerp(fake, real, share).requires_grad_()
            score = self.discriminator(between).mean(dim=(1, 2, 3)).sum()
            (slope,) = torch.autograd.grad(score, between, create_graph=True)
            penalty: Tensor = (slope.flatten(1).norm(dim=1) - 1).square().mean()
        return penalty

    def score(self, student: Tensor) -> Tensor:
        """Score the student's maps with copies of the discriminator's state: no gradient and no change of it."""
        frozen = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        frozen |= {name: buffer.clone() for name, buffer in self.discriminator.named_buffers()}
        scores: Tensor = functional_call(self.discriminator, frozen, (student,))
        return scores


def _similarities(x: Tensor, pool_size: float) -> Tensor:
    """Cosines (B, n, n) between the n nodes of each image."""
    kernel = [pool_size if isinstance(pool_size, int) else math.ceil(side * pool_size) for side in x.shape[-2:]]
    nodes = F.max_pool2d(x, kernel, ceil_mode=True).flatten(2)
    length = nodes.norm(dim=1, keepdim=True)
    unit: Tensor = nodes / length.masked_fill(length == 0, torch.inf)
    return unit.mT @ unit


def _check_pool_size(value: float) -> None:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not real or not (0 < value < 1 or (value >= 1 and isinstance(value, int))):
        raise ArgumentError(
            "`pool_size` must be a number of cells, an integer of at least 1, or a share of the map in (0, 1); "
            f"got {value!r}."
        )
