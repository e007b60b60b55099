"""DIST: the student's class probabilities correlate with the teacher's, within pixels and within classes."""

import torch
from torch import Tensor

from segdistill.losses.base import DistillationLoss, Maps
from segdistill.losses.common.pair import check_same_channels, map_pairs, matched_pair
from segdistill.losses.common.resize import match_weight
from segdistill.ops import check_not_negative, check_positive, without_autocast

EPS = 1e-8
"""Added to the product of lengths, as in the authors' code: it fades out classes that nobody sees."""


def dist(
    student: Tensor,
    teacher: Tensor,
    *,
    beta: float = 1.0,
    gamma: float = 1.0,
    temperature: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    r"""Compare class probabilities up to scale and offset, by Pearson's correlation.

    With :math:`q = \mathrm{softmax}(s / T)` and :math:`p = \mathrm{softmax}(t / T)` as matrices of n pixels
    (all of the batch) by K classes:

    .. math::
        T^2 \Bigl( \beta \bigl(1 - \frac{1}{n} \sum_i \rho(q_{i\cdot}, p_{i\cdot})\bigr)
        + \gamma \bigl(1 - \frac{1}{K} \sum_k \rho(q_{\cdot k}, p_{\cdot k})\bigr) \Bigr)

    The first is the relation between the classes of a pixel, the second that between the pixels of a class. A
    row or column that is constant up to rounding correlates with nothing: it counts as 0, with a zero gradient.

    Args:
        student: Logits (B, K, h, w), resized bilinearly to the teacher's size if needed.
        teacher: Logits (B, K, H, W), treated as constant.
        beta: Weight of the relation between classes, at least 0.
        gamma: Weight of the relation between pixels, at least 0.
        temperature: T, above 0.
        weight: (B, H', W') in [0, 1], resized bilinearly: how much each pixel counts, in the mean and in the
            correlation over pixels. None: all alike.

    Returns:
        Scalar, float32 or more, between 0 and 2 T^2 (beta + gamma).

    Raises:
        ValueError: If classes or batches differ, or a number is out of range.

    Source:
        Huang et al., Knowledge Distillation from a Stronger Teacher, NeurIPS 2022, arXiv 2205.10536. As
        in the authors' code for segmentation, the pixels of a batch are what images are in classification.

    Example:
        >>> logits = torch.randn(2, 19, 8, 8)
        >>> abs(dist(logits, logits + 1).item()) < 1e-5
        True
    """
    _check_numbers(beta, gamma, temperature)
    with without_autocast(teacher):
        student, teacher = matched_pair(student, teacher)
        check_same_channels(student, teacher, "DIST compares logits over one class table.")
        q, p = ((x / temperature).softmax(1).movedim(1, -1).flatten(0, -2) for x in (student, teacher))
        if weight is None:
            inter = 1 - pearson(q, p, dim=1).mean()
            intra = 1 - pearson(q, p, dim=0).mean()
        else:
            weights = match_weight(weight, teacher).flatten()
            total = weights.sum()
            counts = (total > 0).to(q.dtype)  # nothing to compare: zero, with a zero gradient
            inter = counts - (weights * pearson(q, p, dim=1)).sum() / total.clamp_min(EPS)
            intra = counts - pearson(q, p, dim=0, weight=weights[:, None]).mean()
        return temperature**2 * (beta * inter + gamma * intra)


def pearson(x: Tensor, y: Tensor, dim: int, weight: Tensor | None = None) -> Tensor:
    """Pearson's correlation of ``x`` and ``y`` along a dimension, which the result lacks; 0 for a constant.

    With ``weight``, not negative, that of the weighted values.

    Example:
        >>> pearson(torch.tensor([[1.0, 2.0], [3.0, 3.0]]), torch.tensor([[5.0, 9.0], [1.0, 2.0]]), dim=1).round()
        tensor([1., 0.])
    """
    x, y = _centred(x, dim, weight), _centred(y, dim, weight)
    lengths = torch.linalg.vector_norm(x, dim=dim) * torch.linalg.vector_norm(y, dim=dim)
    correlation: Tensor = (x * y).sum(dim) / (lengths + EPS)
    return correlation


def _centred(x: Tensor, dim: int, weight: Tensor | None) -> Tensor:
    """``x`` less its mean; exactly zero where only rounding is left, whose direction would mean nothing.

    Each value is multiplied by the root of its weight, so that products of two have the weight.
    """
    if weight is None:
        centred = x - x.mean(dim, keepdim=True)
    else:
        mean = (weight * x).sum(dim, keepdim=True) / weight.sum(dim, keepdim=True).clamp_min(EPS)
        centred, x = (x - mean) * weight.sqrt(), x * weight.sqrt()
    with torch.no_grad():
        spread, length = (torch.linalg.vector_norm(v, dim=dim, keepdim=True) for v in (centred, x))
        constant = spread <= 32 * torch.finfo(x.dtype).eps * length
    return centred.masked_fill(constant, 0.0)


def _check_numbers(beta: float, gamma: float, temperature: float) -> None:
    check_positive("temperature", temperature)
    check_not_negative("beta", beta)
    check_not_negative("gamma", gamma)


class DISTLoss(DistillationLoss):
    """Distillation of relations as a module; the formula is that of :func:`dist`.

    Of several maps the first are the logits; the others, as a rule the auxiliary logits, are added with ``aux_weight``:
    ``layer=["logits", "aux_logits"]`` is the published loss.

    Args:
        beta: Weight of the relation between the classes of a pixel, at least 0.
        gamma: Weight of the relation between the pixels of a class, at least 0.
        temperature: Softens both distributions; above 0.
        aux_weight: Weight of every map after the first, at least 0.

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> DISTLoss()(torch.randn(1, 5, 4, 4), torch.randn(1, 5, 4, 4)).shape
        torch.Size([])
    """

    title = "DIST"
    layer = "logits"
    several = True
    weighs_pixels = True
    published = 1.0
    beside = ()

    def __init__(
        self, beta: float = 1.0, gamma: float = 1.0, temperature: float = 1.0, *, aux_weight: float = 0.4
    ) -> None:
        super().__init__()
        _check_numbers(beta, gamma, temperature)
        check_not_negative("aux_weight", aux_weight)
        self.aux_weight = aux_weight
        self.beta = beta
        self.gamma = gamma
        self.temperature = temperature

    def forward(self, student: Maps, teacher: Maps, *, weight: Tensor | None = None) -> Tensor:
        """Compare logits (B, K, h, w) and (B, K, H, W), or lists of them; a scalar.

        Args:
            student: Of the student.
            teacher: Of the teacher, same classes.
            weight: (B, H, W) in [0, 1], how much each pixel counts; None: all alike.

        Raises:
            ValueError: If classes, batches or the numbers of maps differ.
        """
        options = {"beta": self.beta, "gamma": self.gamma, "temperature": self.temperature}
        first, *others = (dist(s, t, weight=weight, **options) for s, t in map_pairs(student, teacher))
        return first + self.aux_weight * sum(others)
