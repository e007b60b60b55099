"""Dense contrast on a GPU: one Triton kernel for the value and the student's gradient.

A program owns a few anchors of a set and holds their distances to all its cells in registers: one pass over the
channels sums them up, the softmax follows in place, a second pass turns its slopes into the gradient. Distances never
reach memory, no two programs write to one place, and the same input gives the same bits.

Absolute differences have no matrix product, so the work is on the vector units: with 16 groups of 128 channels and 4x4
patches 256 cells x 128 channels x about seven operations an anchor, against 1 KiB of its own data. The kernel is bound
by arithmetic as long as the way to its registers is short, and that is a matter of layout:

- cells lie side by side for each channel, so that a warp reads 32 neighbours at once;
- a program is one warp where a set has up to 512 cells: its sums over cells are shuffles, with no barrier;
- a thread owns every 32nd cell, as the distances do, so a row goes from memory into the registers that use it. Wider
  loads would give each thread four neighbours, and Triton would exchange them through shared memory at every channel.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

import os

import torch
import triton
import triton.language as tl
from torch import Tensor

from segdistill.ops.precision import working_dtype

MAX_CELLS = 8192  # of a set: 512 threads hold the distances of one anchor, 16 each


def contrast_triton(
    student_SRD: Tensor, teacher_SRD: Tensor, temperature: float, distance: str, groups: int, with_grad: bool
) -> tuple[Tensor, Tensor]:
    """Sum the cross entropies of all anchors, as `contrast_of_sets` of the reference does, and differentiate the sum.

    Args:
        student_SRD: (S, R, D), bf16, fp16, fp32 or fp64, R at most ``MAX_CELLS``, any D; sums are in float32 or more.
        teacher_SRD: Of the same shape, any of those dtypes.
        temperature: Divides the distances.
        distance: ``"l1"``, ``"l2"`` or ``"cosine"``, whose cells have length 1.
        groups: As in the reference.
        with_grad: Whether to differentiate.

    Returns:
        The scalar, and its gradient by ``student_SRD`` (S, R, D), empty unless ``with_grad``; both in the working
        precision.
    """
    sets, cells, width = student_SRD.shape
    dtype = working_dtype(student_SRD, teacher_SRD)
    student_SDR, teacher_SDR = student_SRD.mT.contiguous(), teacher_SRD.mT.contiguous()
    losses_SR = torch.empty((sets, cells), dtype=dtype, device=student_SRD.device)
    grads_SDR = torch.empty((sets, width, cells) if with_grad else (0,), dtype=dtype, device=student_SRD.device)
    block_cells = max(16, triton.next_power_of_2(cells))
    block_anchors = max(1, min(16, 1024 // block_cells))  # 32 distances a thread
    blocks = triton.cdiv(cells, block_anchors)
    # As a tensor: Triton takes numbers in float32, which is too coarse for float64 maps.
    sharpness = torch.full((), 1 / temperature, dtype=dtype, device=student_SRD.device)
    # Triton launches on the current device, whatever the tensors are on.
    with torch.cuda.device_of(student_SRD):  # type: ignore[no-untyped-call]
        _contrast_kernel[(sets * blocks,)](
            student_SDR,
            teacher_SDR,
            losses_SR,
            grads_SDR,
            cells,
            width,
            blocks,
            sharpness,
            DISTANCE=distance,
            GROUPS=groups,
            WITH_GRAD=with_grad,
            ACCUMULATOR=tl.float64 if dtype == torch.float64 else tl.float32,
            ANCHORS=block_anchors,
            CELLS=block_cells,
            CHANNELS=8,
            num_warps=max(1, block_cells // 512),
        )
    return losses_SR.sum(), grads_SDR.mT.contiguous() if with_grad else grads_SDR


def interpreted() -> bool:
    """Whether Triton's kernels run in its interpreter, on tensors of the CPU."""
    return os.environ.get("TRITON_INTERPRET", "0") == "1"


@triton.jit
def _row(values, channel, cells, which, present):
    """A channel of some cells; zero from cell number ``present`` on."""
    return tl.load(values + channel * cells + which, mask=which < present, other=0.0)


@triton.jit
def _contrast_kernel(
    student,  # (S, D, R)
    teacher,  # (S, D, R)
    losses,  # (S, R), written
    grads,  # (S, D, R), written if WITH_GRAD
    cells,  # R
    width,  # D
    blocks,  # programs a set
    sharpness,  # (), 1 / temperature
    DISTANCE: tl.constexpr,
    GROUPS: tl.constexpr,  # 0: every other cell is a negative
    WITH_GRAD: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
    ANCHORS: tl.constexpr,
    CELLS: tl.constexpr,  # at least R, a power of two
    CHANNELS: tl.constexpr,  # a turn of the loops over D
):
    program = tl.program_id(0)
    which = (program // blocks).to(tl.int64)
    anchor = (program % blocks) * ANCHORS + tl.arange(0, ANCHORS)
    cell = tl.max_contiguous(tl.arange(0, CELLS), 1)  # they are contiguous: this asks for narrow loads, see above
    sharpness = tl.load(sharpness)
    student += which * cells * width
    teacher += which * cells * width

    # Distances. Channels beyond the last are zero in both, which adds nothing to any of the three. A turn sums on its
    # own before it is added: the rounding error grows with D / 8 + 8 terms, not with D.
    sums = tl.zeros((ANCHORS, CELLS), dtype=ACCUMULATOR)
    for first in range(0, width, CHANNELS):
        turn = tl.zeros((ANCHORS, CELLS), dtype=ACCUMULATOR)
        for step in tl.static_range(CHANNELS):
            channel = first + step
            present = tl.where(channel < width, cells, 0)
            s = _row(student, channel, cells, anchor, present).to(ACCUMULATOR)[:, None]
            t = _row(teacher, channel, cells, cell, present).to(ACCUMULATOR)[None, :]
            if DISTANCE == "l1":
                turn += tl.abs(s - t)
            elif DISTANCE == "l2":
                turn += (s - t) * (s - t)
            else:
                turn += s * t
        sums += turn

    # Softmax over each anchor's positive and negatives; the largest logit is taken off before anything is compared.
    if DISTANCE == "l2":
        sums = tl.sqrt(sums)
    if DISTANCE == "cosine":
        logits = sums * sharpness
    else:
        logits = -sums * sharpness
    positive = anchor[:, None] == cell[None, :]
    allowed = cell[None, :] < cells
    if GROUPS > 0:
        allowed = allowed & (positive | (anchor[:, None] % GROUPS != cell[None, :] % GROUPS))
    logits = tl.where(allowed, logits, float("-inf"))
    logits -= tl.max(logits, axis=1)[:, None]
    shares = tl.exp(logits)
    total = tl.sum(shares, axis=1)
    loss = tl.log(total) - tl.sum(tl.where(positive, logits, 0.0), axis=1)
    tl.store(losses + which * cells + anchor, loss, mask=anchor < cells)

    if WITH_GRAD:
        grads += which * cells * width
        slopes = (shares / total[:, None] - tl.where(positive, 1.0, 0.0)) * sharpness
        if DISTANCE != "cosine":
            slopes = -slopes
        if DISTANCE == "l2":  # equal cells pull nowhere
            slopes = tl.where(sums > 0, slopes / tl.where(sums > 0, sums, 1.0), 0.0)
        for first in range(0, width, CHANNELS):
            for step in tl.static_range(CHANNELS):
                channel = first + step
                present = tl.where(channel < width, cells, 0)
                s = _row(student, channel, cells, anchor, present).to(ACCUMULATOR)[:, None]
                t = _row(teacher, channel, cells, cell, present).to(ACCUMULATOR)[None, :]
                if DISTANCE == "l1":
                    pulls = tl.where(s > t, slopes, 0.0) - tl.where(s < t, slopes, 0.0)
                elif DISTANCE == "l2":
                    pulls = slopes * (s - t)
                else:
                    pulls = slopes * t
                tl.store(grads + channel * cells + anchor, tl.sum(pulls, axis=1), mask=anchor < present)
