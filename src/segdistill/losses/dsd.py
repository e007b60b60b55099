"""DSD: similarity of attention over positions and of the correlations between classes; a reconstruction."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from segdistill.losses.at import attention_map
from segdistill.losses.base import DistillationLoss, Maps
from segdistill.losses.common.pair import check_same_channels, map_pairs, matched_pair
from segdistill.losses.common.resize import match_size
from segdistill.ops import check_positive, unit, without_autocast


class DSDTerms(NamedTuple):
    """The two unweighted parts of DSD.

    Attributes:
        attention: Scalar, squared difference of residual attention maps.
        category: Scalar, squared difference of the correlations between channels.
    """

    attention: Tensor
    category: Tensor


class DSDLoss(DistillationLoss):
    r"""Double similarity distillation, reconstructed from descriptions of the paper.

    Let :math:`a_l` be :func:`segdistill.losses.at.attention_map` of the l-th of L maps. ``attention`` compares
    what attention gains from map to map, over all pairs :math:`l < m`:

    .. math::
        \mathrm{mean} (r(s) - r(t))^2, \quad r_{lm} = \frac{a_m - a_l}{\lVert a_m - a_l \rVert_2}

    With a single map the residual is taken from attention that is equal everywhere: r is :math:`a` less its mean,
    divided by its length. ``category`` compares, on the last map, how much two channels overlap. With
    :math:`q_k = \mathrm{softmax}_{hw}(\bar z_k / T)`, the distribution over positions of a channel of the map
    after a 2x2 average-pooling:

    .. math::
        \frac{1}{B K^2} \sum_{b,k,j} (\cos(q_{bk}, q_{bj}) - \cos(p_{bk}, p_{bj}))^2

    Args:
        temperature: T of ``category``, above 0.
        paper: Compare the inner products :math:`q_k \cdot q_j` in the place of the cosines, as the code of
            CIRKD does. They are of the order of one over the number of positions, and ``category`` then of the
            order of its square: at the published weight it hardly counts.

    Raises:
        ValueError: If the temperature is not positive.

    Source:
        Feng et al., Double Similarity Distillation for Semantic Image Segmentation, TIP 2021, arXiv 2107.08591.
        The single map, and which of several descriptions is followed in ``category``, are our choice.

    Example:
        >>> terms = DSDLoss()(torch.randn(2, 5, 8, 8), torch.randn(2, 5, 8, 8))
        >>> total = 1000 * terms.attention + 10 * terms.category
        >>> student, teacher = ([torch.randn(1, width, 8, 8), torch.randn(1, 5, 8, 8)] for width in (16, 64))
        >>> several = DSDLoss()(student, teacher)
    """

    title = "DSD"
    layer = "logits"
    several = True
    beside = ()
    parts = DSDTerms._fields
    published: ClassVar[Mapping[str, float]] = {"attention": 1000.0, "category": 10.0}

    def __init__(self, temperature: float = 4.0, *, paper: bool = False) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        self.temperature = temperature
        self.paper = paper

    def forward(self, student: Maps, teacher: Maps) -> DSDTerms:
        """Compare one map, or several from the first layer to the last.

        Args:
            student: (B, C, h, w), or a list of such maps; the last, as a rule the logits, has the teacher's
                channels. Resized bilinearly to the teacher's size if needed.
            teacher: As many maps, treated as constant. Attention is compared at the size of the last.

        Returns:
            ``DSDTerms(attention, category)``, unweighted.

        Raises:
            ValueError: If the numbers of maps, the batches or the channels of the last maps differ.
        """
        maps = map_pairs(student, teacher)
        with without_autocast(maps[-1][1]):
            pairs = [matched_pair(*pair) for pair in maps]
            last_student, last_teacher = pairs[-1]
            check_same_channels(last_student, last_teacher, "The correlations of DSD need one class table.")
            gained, wanted = (_residuals([match_size(pair[role], last_teacher) for pair in pairs]) for role in (0, 1))
            overlaps, aims = (self._overlaps(x) for x in pairs[-1])
            return DSDTerms((gained - wanted).square().mean(), (overlaps - aims).square().mean())

    def _overlaps(self, x: Tensor) -> Tensor:
        """(B, K, K), how much two channels of (B, K, h, w) lie at the same positions."""
        pooled = F.avg_pool2d(x, 2, ceil_mode=True).flatten(2)
        q = (pooled / self.temperature).softmax(dim=2)
        q = q if self.paper else unit(q)
        return q @ q.mT


def _residuals(maps: Sequence[Tensor]) -> Tensor:
    """(B, pairs of maps, h * w), what attention gains from one map to a later one, as unit vectors."""
    attention = [attention_map(x) for x in maps]
    if len(maps) == 1:
        return unit(attention[0] - attention[0].mean(1, keepdim=True))[:, None]
    return unit(torch.stack([later - earlier for earlier, later in combinations(attention, 2)], dim=1))
