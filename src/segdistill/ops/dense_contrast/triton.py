"""Dense contrast on a GPU: one Triton kernel for the value and the student's gradient.

A program owns a few anchors of a set and holds their distances to all its cells in registers: one pass over the
channels sums them up, the softmax follows in place, a second pass turns its slopes into the gradient. Distances never
reach memory, no two programs write to one place, and the same input gives the same bits.

Absolute differences have no matrix product, so the work is on the vector units. With 16 groups of 128 channels and 4x4
patches a set has 256 cells. A program has four anchors: it takes about seven operations for each of its 4 x 256 x 128
numbers, and streams the set twice, 256 KiB in float32. Those come from the cache of its multiprocessor, which is why
programs of one set meet there. The kernel is bound by arithmetic as long as the way to its registers is short, and that
is a matter of layout:

- cells lie side by side for each channel, so that a warp reads 32 neighbours at once;
- a program is one warp where a set has up to 512 cells: its sums over cells are shuffles, with no barrier;
- a thread owns every 32nd cell, as the distances do, so a row goes from memory into the registers that use it. Wider
  loads would give each thread four neighbours, and Triton would exchange them through shared memory at every channel.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

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
    # As a tensor: Triton takes numbers in float32, which is too coarse for float64 maps.
    sharpness = torch.full((), 1 / temperature, dtype=dtype, device=student_SRD.device)
    # Triton launches on the current device, whatever the tensors are on.
    with torch.cuda.device_of(student_SRD):  # type: ignore[no-untyped-call]
        _contrast_kernel[(sets * triton.cdiv(cells, block_anchors),)](
            student_SDR,
            teacher_SDR,
            losses_SR,
            grads_SDR,
            sets,
            _processors(student_SRD.device),
            sharpness,
            R=cells,
            D=width,
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


def _processors(device: torch.device) -> int:
    """How many programs start side by side, each on a multiprocessor of its own."""
    if device.type != "cuda":
        return 2  # of the interpreter, which has one after the other: any number will do
    return torch.cuda.get_device_properties(device).multi_processor_count


@triton.jit
def _row(values, channel, which, R: tl.constexpr, D: tl.constexpr, CELLS: tl.constexpr, CHANNELS: tl.constexpr):
    """A channel of some cells; zero beyond the last channel and the last cell. What is whole has no mask."""
    places = values + channel * R + which
    whole: tl.constexpr = R == CELLS and D % CHANNELS == 0
    return tl.load(places) if whole else tl.load(places, mask=which < tl.where(channel < D, R, 0), other=0.0)


@triton.jit(do_not_specialize=["sets", "processors"])  # they change with the batch and with the machine
def _contrast_kernel(
    student,  # (S, D, R)
    teacher,  # (S, D, R)
    losses,  # (S, R), written
    grads,  # (S, D, R), written if WITH_GRAD
    sets,  # S
    processors,  # of the GPU
    sharpness,  # (), 1 / temperature
    R: tl.constexpr,  # known to the compiler, as is D: offsets are constants then, and take no registers
    D: tl.constexpr,
    DISTANCE: tl.constexpr,
    GROUPS: tl.constexpr,  # 0: every other cell is a negative
    WITH_GRAD: tl.constexpr,
    ACCUMULATOR: tl.constexpr,
    ANCHORS: tl.constexpr,
    CELLS: tl.constexpr,  # at least R, a power of two
    CHANNELS: tl.constexpr,  # a turn of the loops over D
):
    # Programs start round the multiprocessors. As many sets as there are of those are taken at a time, each program of
    # a turn on another set: so the programs of one set meet on one multiprocessor, whose cache holds what they share.
    blocks: tl.constexpr = (R + ANCHORS - 1) // ANCHORS  # programs a set
    program = tl.program_id(0)
    first_set = program // (processors * blocks) * processors
    together = tl.minimum(processors, sets - first_set)
    place = program - first_set * blocks
    which = (first_set + place % together).to(tl.int64)
    anchor = place // together * ANCHORS + tl.arange(0, ANCHORS)
    cell = tl.max_contiguous(tl.arange(0, CELLS), 1)  # they are contiguous: this asks for narrow loads, see above
    sharpness = tl.load(sharpness)
    student += which * R * D
    teacher += which * R * D

    # Distances. Channels beyond the last are zero in both, which adds nothing to any of the three. A turn sums on its
    # own before it is added: the rounding error grows with D / 8 + 8 terms, not with D.
    sums = tl.zeros((ANCHORS, CELLS), dtype=ACCUMULATOR)
    for first in range(0, D, CHANNELS):
        turn = tl.zeros((ANCHORS, CELLS), dtype=ACCUMULATOR)
        for step in tl.static_range(CHANNELS):
            channel = first + step
            s = _row(student, channel, anchor, R, D, CELLS, CHANNELS).to(ACCUMULATOR)[:, None]
            t = _row(teacher, channel, cell, R, D, CELLS, CHANNELS).to(ACCUMULATOR)[None, :]
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
    allowed = cell[None, :] < R
    if GROUPS > 0:
        allowed = allowed & (positive | (anchor[:, None] % GROUPS != cell[None, :] % GROUPS))
    logits = tl.where(allowed, logits, float("-inf"))
    logits -= tl.max(logits, axis=1)[:, None]
    shares = tl.exp(logits)
    total = tl.sum(shares, axis=1)
    loss = tl.log(total) - tl.sum(tl.where(positive, logits, 0.0), axis=1)
    tl.store(losses + which * R + anchor, loss, mask=anchor < R)

    if WITH_GRAD:
        grads += which * R * D
        slopes = (shares / total[:, None] - tl.where(positive, 1.0, 0.0)) * sharpness
        if DISTANCE != "cosine":
            slopes = -slopes
        if DISTANCE == "l2":  # equal cells pull nowhere
            slopes = tl.where(sums > 0, slopes / tl.where(sums > 0, sums, 1.0), 0.0)
        # A sign without comparisons: a difference from 2^-100 on, times this, is at least 1; a tie stays 0. A number
        # that is not one needs no care here, as it is in the slopes already.
        huge: tl.constexpr = 2.0**100
        for first in range(0, D, CHANNELS):
            for step in tl.static_range(CHANNELS):
                channel = first + step
                s = _row(student, channel, anchor, R, D, CELLS, CHANNELS).to(ACCUMULATOR)[:, None]
                t = _row(teacher, channel, cell, R, D, CELLS, CHANNELS).to(ACCUMULATOR)[None, :]
                if DISTANCE == "l1":
                    pulls = slopes * tl.clamp((s - t) * huge, -1.0, 1.0)
                elif DISTANCE == "l2":
                    pulls = slopes * (s - t)
                else:
                    pulls = slopes * t
                places = grads + channel * R + anchor
                tl.store(places, tl.sum(pulls, axis=1), mask=anchor < tl.where(channel < D, R, 0))
