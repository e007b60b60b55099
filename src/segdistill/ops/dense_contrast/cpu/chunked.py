"""Dense contrast on a CPU, a few sets of cells at a time: value and gradient, no distances kept.

Where a C++ compiler is at hand, torch compiles each chunk to one loop over the distances and one over the gradient, in
which the differences of cells stay in registers. Without one, a chunk is what the reference does.
"""

import functools
import logging
import os
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from segdistill.ops.dense_contrast.cells import same_group_elsewhere
from segdistill.ops.dense_contrast.similarity import similarity
from segdistill.ops.precision import without_autocast, working_dtype
from segdistill.util import without_cuda_notice

CHUNK = 2**17  # distances held at a time: half a megabyte, which a core's cache holds
WORTH_COMPILING = 2**20  # differences of numbers a call; below, the seconds that the compiler takes are not won back

_logger = logging.getLogger(__name__)


class _Rule(NamedTuple):
    """What makes logits of similarities, the same for every chunk.

    Attributes:
        sharpness: 1 / temperature, as a tensor: compiled code is not made anew for each value.
        positive_RR: 1 where the cell is the anchor's positive, else 0.
        handicap_RR: -inf where the cell is neither positive nor negative, else 0; added, since booleans are slow to
            vectorise.
    """

    sharpness: Tensor
    positive_RR: Tensor
    handicap_RR: Tensor


def contrast_chunked(
    student_SRD: Tensor, teacher_SRD: Tensor, temperature: float, distance: str, groups: int, with_grad: bool
) -> tuple[Tensor, Tensor]:
    """Sum the cross entropies of all anchors, as `contrast_of_sets` of the reference does, and differentiate the sum.

    Returns:
        The scalar, and its gradient by ``student_SRD`` (S, R, D), empty unless ``with_grad``; both in the working
        precision.
    """
    dtype = working_dtype(student_SRD, teacher_SRD)
    sets, cells, width = student_SRD.shape
    total = torch.zeros((), dtype=dtype, device=student_SRD.device)
    grads = torch.empty((sets, cells, width) if with_grad else (0,), dtype=dtype, device=student_SRD.device)
    rule = _rule(cells, groups, temperature, dtype, student_SRD.device)
    worth = sets * cells**2 * width >= WORTH_COMPILING
    size = max(1, CHUNK // cells**2)
    with without_autocast(student_SRD):
        for start in range(0, sets, size):
            some = slice(start, start + size)
            student, teacher = student_SRD[some].detach().to(dtype), teacher_SRD[some].to(dtype)
            compile_it = worth and distance != "cosine" and can_compile()  # its matrix products are fast as they are
            loss, grad = _run(compile_it, distance, student, teacher, rule, with_grad)
            total += loss
            if with_grad:
                grads[some] = grad
    return total, grads


@functools.lru_cache(maxsize=8)  # asked for every band of a map
def _rule(cells: int, groups: int, temperature: float, dtype: torch.dtype, device: torch.device) -> _Rule:
    positive_RR = torch.eye(cells, dtype=dtype, device=device)
    handicap_RR = torch.zeros_like(positive_RR)
    if groups:
        handicap_RR.masked_fill_(same_group_elsewhere(cells, groups, device), float("-inf"))
    return _Rule(positive_RR.new_tensor(1 / temperature), positive_RR, handicap_RR)


def can_compile() -> bool:
    """Whether a C++ compiler is there and has not failed yet."""
    if not _broken and shutil.which(os.environ.get("CXX", "c++")) is None:
        _broken.append("no C++ compiler is found; install one, or name it in the variable CXX")
        _logger.warning("The dense contrast is computed without compilation, about three times slower: %s.", *_broken)
    return not _broken


_broken: list[str] = []  # why the compiler is not asked, at most one reason


def _run(compile_it: bool, distance: str, *args: Any) -> tuple[Tensor, Tensor]:
    """One chunk; once the compiler has failed, for whatever reason, without it."""
    if compile_it:
        try:
            with without_cuda_notice():
                return _compiled(distance)(*args)
        except Exception as error:  # a compiler fails in many ways
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            _broken.append(f"{type(error).__name__}: {reason}")
            _logger.warning("The dense contrast could not be compiled and goes on, three times slower: %s", *_broken)
    return _eager(distance, *args)


def _eager(
    distance: str,
    student_SRD: Tensor,
    teacher_SRD: Tensor,
    rule: _Rule,
    with_grad: bool,
) -> tuple[Tensor, Tensor]:
    similarity_SRR = similarity(student_SRD, teacher_SRD, distance)
    loss, slopes_SRR = _loss_and_slopes(similarity_SRR, rule)
    if not with_grad:
        return loss, student_SRD
    if distance == "cosine":
        return loss, -slopes_SRR @ teacher_SRD
    norm = 1.0 if distance == "l1" else 2.0
    # What autograd calls for `torch.cdist`; autograd itself does not reach into an operator.
    return loss, torch.ops.aten._cdist_backward(slopes_SRR, student_SRD, teacher_SRD, norm, -similarity_SRR)


def _l1(
    student_SRD: Tensor,
    teacher_SRD: Tensor,
    rule: _Rule,
    with_grad: bool,
) -> tuple[Tensor, Tensor]:
    """To be compiled: the differences then never reach memory."""
    difference_SRRD = student_SRD[:, :, None] - teacher_SRD[:, None]
    similarity_SRR = -difference_SRRD.abs().sum(-1)
    loss, slopes_SRR = _loss_and_slopes(similarity_SRR, rule)
    if not with_grad:
        return loss, student_SRD
    # As choices, not as a product with the sign, which torch computes as a difference of two comparisons.
    pull = slopes_SRR[..., None]
    signed = torch.where(difference_SRRD > 0, pull, torch.where(difference_SRRD < 0, -pull, 0.0))
    return loss, signed.sum(2)


def _l2(
    student_SRD: Tensor,
    teacher_SRD: Tensor,
    rule: _Rule,
    with_grad: bool,
) -> tuple[Tensor, Tensor]:
    """To be compiled, as `_l1`: of the Euclidean distance."""
    difference_SRRD = student_SRD[:, :, None] - teacher_SRD[:, None]
    distance_SRR = difference_SRRD.square().sum(-1).sqrt()
    loss, slopes_SRR = _loss_and_slopes(-distance_SRR, rule)
    if not with_grad:
        return loss, student_SRD
    slopes_SRR = torch.where(distance_SRR > 0, slopes_SRR / distance_SRR, 0.0)  # equal cells pull nowhere
    return loss, (slopes_SRR[..., None] * difference_SRRD).sum(2)


def _loss_and_slopes(similarity_SRR: Tensor, rule: _Rule) -> tuple[Tensor, Tensor]:
    """Sum of the cross entropies, and its derivative by each distance."""
    logs_SRR = F.log_softmax(similarity_SRR * rule.sharpness + rule.handicap_RR, dim=-1)
    loss = -torch.where(rule.positive_RR > 0, logs_SRR, 0.0).sum()
    return loss, (rule.positive_RR - logs_SRR.exp()) * rule.sharpness


@functools.cache  # made late: naming `torch.compile` loads what takes a second
def _compiled(distance: str) -> Callable[..., tuple[Tensor, Tensor]]:
    return torch.compile({"l1": _l1, "l2": _l2}[distance], dynamic=True, fullgraph=True)
