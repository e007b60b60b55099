"""MasKD: learnable tokens mark regions in the teacher's class maps, and the student follows region by region."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segdistill.losses.base import DistillationLoss, Maps
from segdistill.losses.common.dice import dice_overlap
from segdistill.losses.common.pair import map_pairs
from segdistill.losses.common.resize import match_labels, match_size
from segdistill.ops import (
    check_count,
    check_map,
    check_not_negative,
    check_positive,
    check_together,
    without_autocast,
    working_dtype,
)
from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError


def token_masks(teacher: Tensor, tokens: Tensor) -> Tensor:
    r"""Return the regions that tokens mark, :math:`m_i = \sigma(\mathrm{token}_i \cdot t)` at every pixel.

    Args:
        teacher: Logits (B, K, H, W).
        tokens: (T, K).

    Returns:
        (B, T, H, W) in (0, 1).

    Example:
        >>> token_masks(torch.randn(2, 5, 4, 6), torch.randn(8, 5)).shape
        torch.Size([2, 8, 4, 6])
    """
    return torch.einsum("tk,bkhw->bthw", tokens, teacher).sigmoid()


def token_loss(teacher: Tensor, labels: Tensor, tokens: Tensor) -> Tensor:
    r"""Stage 1: what the tokens learn, with the teacher as it is.

    The regions together keep what the teacher needs to be right, and overlap little: with masks :math:`m_i`,

    .. math::
        \mathrm{CE}\Big(\sum_i m_i t, y\Big) + \operatorname{mean}_{i \ne j, b}
        \frac{2 \sum m_i m_j}{\sum m_i^2 + \sum m_j^2}

    Args:
        teacher: Logits (B, K, H, W), treated as constant.
        labels: (B, H', W') integers, resized by nearest neighbour; ``IGNORE_INDEX`` does not count.
        tokens: (T, K).

    Returns:
        Scalar, float32 or more; the cross-entropy is 0 where no pixel has a label.

    Raises:
        ValueError: If the labels are not integers for these images.

    Example:
        >>> labels = torch.randint(0, 5, (2, 32, 48))
        >>> token_loss(torch.randn(2, 5, 4, 6), labels, torch.randn(8, 5)).shape
        torch.Size([])
    """
    check_map("teacher", teacher)
    with without_autocast(teacher):
        dtype = working_dtype(teacher, tokens)
        teacher = teacher.detach().to(dtype)
        labels = match_labels(labels, teacher)
        masks = token_masks(teacher, tokens.to(dtype))
        task = F.cross_entropy(
            teacher * masks.sum(dim=1, keepdim=True), labels, ignore_index=IGNORE_INDEX, reduction="sum"
        )
        return task / (labels != IGNORE_INDEX).sum().clamp_min(1) + dice_overlap(masks.flatten(2))


def maskd(student: Tensor, teacher: Tensor, tokens: Tensor) -> Tensor:
    r"""Stage 2: squared difference of the logits within each region, by the region's size.

    .. math::
        \frac{1}{2} \operatorname{mean}_{b, i, k}
        \frac{\sum_{hw} (m_i (s_k - t_k))^2}{\sum_{hw} m_i + 10^{-5}}

    Args:
        student: Logits (B, K, h, w), resized bilinearly to the teacher's size if needed.
        teacher: Logits (B, K, H, W), treated as constant, as are the masks that are made of it.
        tokens: (T, K), treated as constant.

    Returns:
        Scalar, float32 or more.

    Raises:
        ValueError: If classes, batches or the width of the tokens do not fit.

    Source:
        Huang et al., ICLR 2023; the formula of the authors' segmentation code, where the mask is inside the
        square.

    Example:
        >>> logits = torch.randn(2, 5, 4, 6)
        >>> maskd(logits, logits, torch.randn(8, 5)).item()
        0.0
    """
    check_map("teacher", teacher, tokens.shape[-1])
    check_map("student", student, tokens.shape[-1])
    check_together(student, teacher)
    with without_autocast(teacher):
        dtype = working_dtype(student, teacher, tokens)
        teacher = teacher.detach().to(dtype)
        student = match_size(student.to(dtype), teacher)
        masks = token_masks(teacher, tokens.detach().to(dtype))
        # The sum over pixels is a product of two small matrices for each image: no (B, T, K, H, W) tensor.
        squares = torch.einsum("bthw,bkhw->btk", masks.square(), (student - teacher).square())
        return 0.5 * (squares / (masks.sum(dim=(2, 3)) + 1e-5)[..., None]).mean()


class MasKDTerms(NamedTuple):
    """The two unweighted parts of MasKD, one for each stage; the other is 0.

    Attributes:
        masks: Scalar, teaches the tokens; see :func:`token_loss`.
        mimic: Scalar, teaches the student; see :func:`maskd`.
    """

    masks: Tensor
    mimic: Tensor


class MasKDLoss(DistillationLoss):
    """Learn regions from the teacher, then let the student follow it region by region.

    The first ``token_steps`` calls in training mode are stage 1: ``masks`` trains the tokens with their own
    optimizer (:meth:`own_optimizer`) and ``mimic`` is 0, so that the student learns without this term
    meanwhile. Then the tokens are copied once, and with this copy, which no optimizer can move, ``mimic`` trains the
    student and ``masks`` is 0. The count is part of the state.

    Of several maps the first are the logits, from which the tokens learn; ``mimic`` of the others, as a rule the
    auxiliary logits, is added with ``aux_weight``: ``layer=["logits", "aux_logits"]`` is the published loss. In our
    reading its masks are made by the same tokens from the teacher's auxiliary logits.

    To learn the tokens before the student, as the authors do, run stage 1 with the teacher alone,
    ``loss(t, t, labels).masks.backward()``, and call :meth:`freeze`.

    Args:
        num_classes: K, channels of the logits.
        num_masks: T, number of tokens.
        token_steps: Calls of stage 1. A run must be much longer than that.
        lr: Learning rate of the tokens, constant.
        aux_weight: Weight in ``mimic`` of every map after the first, at least 0.

    Raises:
        ValueError: If a number is out of range.

    Note:
        The host waits for a GPU once after a state was loaded, to learn the stage, and at no other call.

    Note:
        Labels are read in stage 1 only; later two tensors will do. Micro-batches of one optimizer step count as
        calls of their own.

    Source:
        Huang et al., ICLR 2023. The authors learn the tokens in 10,000 steps of a decaying rate before the
        student's training, and compare them with the labels at image size.

    Example:
        >>> loss = MasKDLoss(5, token_steps=1)
        >>> student, teacher, labels = torch.randn(2, 5, 4, 6), torch.randn(2, 5, 4, 6), torch.zeros(2, 32, 48).long()
        >>> first, second = loss(student, teacher, labels), loss(student, teacher)
        >>> first.mimic.item(), second.masks.item()
        (0.0, 0.0)
    """

    title = "MasKD"
    layer = "logits"
    several = True
    beside = ()
    parts = MasKDTerms._fields
    uses_labels = True

    calls: Tensor
    frozen: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        num_masks: int = 8,
        token_steps: int = 200,
        lr: float = 0.1,
        aux_weight: float = 0.4,
    ) -> None:
        super().__init__()
        check_count("num_classes", num_classes)
        check_count("num_masks", num_masks)
        check_count("token_steps", token_steps)
        check_positive("lr", lr)
        check_not_negative("aux_weight", aux_weight)
        self.aux_weight = aux_weight
        self.num_classes = num_classes
        self.token_steps = token_steps
        self.lr = lr
        self.tokens = nn.Parameter(torch.randn(num_masks, num_classes) * 0.01)
        self.register_buffer("frozen", torch.zeros(num_masks, num_classes))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))  # -1 once the tokens are frozen
        self._known: int | None = 0  # what `calls` is; None: to be read, for which a GPU must be waited for
        self.register_load_state_dict_post_hook(_look_again)  # type: ignore[no-untyped-call]

    @property
    def sometimes_silent(self) -> tuple[str, ...]:
        """Each part belongs to a stage, and ``masks`` is for the tokens."""
        return self.parts

    def own_optimizer(self) -> torch.optim.Optimizer:
        """Return SGD with momentum 0.9 and weight decay 1e-3, as the authors', over the tokens."""
        return torch.optim.SGD([self.tokens], lr=self.lr, momentum=0.9, weight_decay=1e-3)

    def freeze(self, tokens: Tensor | None = None) -> None:
        """End stage 1 now.

        Args:
            tokens: (num_masks, num_classes) learnt elsewhere. Default None: those learnt so far.

        Raises:
            ValueError: If the shape differs.
        """
        tokens = self.tokens if tokens is None else tokens
        if tokens.shape != self.tokens.shape:
            raise ArgumentError(f"`tokens` must have shape {tuple(self.tokens.shape)}; got {tuple(tokens.shape)}.")
        self.frozen.copy_(tokens.detach())
        self.calls.fill_(-1)
        self._known = -1

    def forward(self, student: Maps, teacher: Maps, labels: Tensor | None = None) -> MasKDTerms:
        """Train the tokens or the student, as the stage has it.

        Args:
            student: Logits (B, num_classes, h, w), resized bilinearly to the teacher's size if needed; or a list.
            teacher: Logits (B, num_classes, H, W), treated as constant; or as many.
            labels: (B, H', W') integers; needed in stage 1.

        Returns:
            ``MasKDTerms(masks, mimic)``, unweighted.

        Raises:
            ValueError: If a shape does not fit, or labels are needed and missing.
        """
        pairs = map_pairs(student, teacher)
        for s, t in pairs:
            check_map("student", s, self.num_classes)
            check_map("teacher", t, self.num_classes)
            check_together(s, t)
        dtype = working_dtype(*pairs[0], self.tokens)
        if not self._learning():
            first, *others = (maskd(s, t, self.frozen) for s, t in pairs)
            return MasKDTerms(_zero(dtype, self.tokens), first + self.aux_weight * sum(others))
        if labels is None:
            raise ArgumentError(
                f"`labels` must be given for the first {self.token_steps} calls (token_steps); got None."
            )
        if self.training:
            self.calls += 1
            self._known = (self._known or 0) + 1
        return MasKDTerms(token_loss(pairs[0][1], labels, self.tokens), _zero(dtype, *(s for s, _ in pairs)))

    def _learning(self) -> bool:
        """Whether this is stage 1; the first call that finds it over freezes the tokens."""
        if self._known is None:
            self._known = int(self.calls)
        if self._known >= self.token_steps:
            self.freeze()
        return self._known >= 0


def _look_again(loss: MasKDLoss, _: Any) -> None:
    """After a state was loaded: the number of calls is to be read from it."""
    loss._known = None


def _zero(dtype: torch.dtype, *tensors: Tensor) -> Tensor:
    """A zero that gives tensors a zero gradient, whatever their values: DistributedDataParallel waits for one."""
    return torch.stack([x[:0].sum(dtype=dtype) for x in tensors]).sum()
