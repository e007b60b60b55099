"""The Triton kernel against the reference. `test_triton.py` runs this file in a process of its own.

Triton decides when it is imported whether its kernels are interpreted on a CPU or compiled for a GPU.
"""

import itertools
import logging
from unittest import mock

import pytest
import torch
from tests.ops.in_triton import nan_instead_of_whatever_was_there

from segdistill.ops import dense_contrast
from segdistill.ops.dense_contrast.cells import cut_cells
from segdistill.ops.dense_contrast.fused import contrast_maps, kernels, why_not_launched
from segdistill.ops.dense_contrast.reference import contrast_of_sets
from segdistill.ops.launch import interpreted
from segdistill.ops.precision import working_dtype
from segdistill.ops.unit import unit

DEVICE = "cpu" if kernels is None or interpreted() else "cuda"
DISTANCES = ("l1", "l2", "cosine")
NEGATIVES = ("other_groups", "omni", "channel", "spatial")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
# Images, channels of a group, groups, patch: one to many programs a set, one to many sets, a turn of the loop over
# channels begun, full and exceeded.
SIZES = [
    (1, 1, 3, (1, 4)),
    (2, 3, 5, (3, 2)),
    (1, 5, 3, (5, 5)),
    (3, 8, 2, (1, 4)),
    (1, 13, 6, (3, 2)),
    (1, 17, 7, (1, 4)),
]
KINDS = itertools.product(NEGATIVES, DISTANCES, DTYPES)
CASES = [(*kind, SIZES[i % 5 + i // 12 % 2]) for i, kind in enumerate(KINDS)] + [
    ("other_groups", distance, torch.float64, size) for distance in DISTANCES for size in SIZES
]


def sets(size, negatives, distance, dtype, seed=0, offset=0.0):
    """Student's and teacher's cells, and the number of groups whose own cells are no negatives."""
    batch, width, groups, patch = size
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, batch, width * groups, *patch, generator=generator, dtype=torch.float64)
    cells = [cut_cells((x + offset).to(dtype), groups, patch, negatives) for x in maps]
    if distance == "cosine":
        cells = [unit(x.to(working_dtype(x))).to(dtype) for x in cells]
    return *(x.to(DEVICE) for x in cells), groups if negatives == "other_groups" else 0


def reference(student, teacher, temperature, distance, groups, dtype=torch.float64):
    student = student.to(dtype).requires_grad_()
    value = contrast_of_sets(student, teacher.to(dtype), temperature, distance, groups)
    return value.detach(), torch.autograd.grad(value, student)[0]


def check(student, teacher, temperature, distance, groups):
    """Compare with the reference in float64, on the very numbers that the kernel is given."""
    dtype = working_dtype(student)
    with mock.patch.object(torch, "empty", nan_instead_of_whatever_was_there(torch.empty)):
        results = kernels.contrast_triton(student, teacher, temperature, distance, groups, True)
    exact = reference(student, teacher, temperature, distance, groups)
    eager = reference(student, teacher, temperature, distance, groups, dtype)
    # A logit is off by its size times eps, and the losses and slopes by as much, relative to their own size and to 1.
    farthest = torch.cdist(student.double(), teacher.double(), p=1.0 if distance == "l1" else 2.0).max().item()
    eps = torch.finfo(dtype).eps * (1 + farthest / temperature)
    for result, true, other in zip(results, exact, eager, strict=True):
        assert result.dtype == dtype
        assert result.shape == true.shape
        scale = true.abs().max() + 1e-3
        error, expected = ((x.double() - true).abs().max() / scale for x in (result, other))
        assert error <= (4 * eps if dtype == torch.float64 else 2 * expected + 4 * eps), (error, expected, eps)
    return results


@pytest.mark.parametrize(("negatives", "distance", "dtype", "size"), CASES)
def test_equals_the_reference_and_writes_every_element(negatives, distance, dtype, size):
    student, teacher, groups = sets(size, negatives, distance, dtype)
    temperature = 0.2 if distance == "cosine" else 0.7
    check(student, teacher, temperature, distance, groups)


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_value_alone_is_the_same(distance):
    student, teacher, groups = sets((2, 3, 5, (3, 2)), "other_groups", distance, torch.float32)
    value, _ = kernels.contrast_triton(student, teacher, 0.3, distance, groups, True)
    alone, nothing = kernels.contrast_triton(student, teacher, 0.3, distance, groups, False)
    assert alone == value
    assert nothing.shape == (0,)


def test_one_anchor_a_program_as_where_a_set_is_large(monkeypatch):
    monkeypatch.setattr(kernels.triton, "next_power_of_2", lambda cells: 1024)
    student, teacher, groups = sets((2, 3, 3, (1, 4)), "other_groups", "l1", torch.float64)
    check(student, teacher, 1.0, "l1", groups)


@pytest.mark.parametrize("distance", ["l1", "l2"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_digits_are_kept_far_from_the_origin(distance, dtype):
    student, teacher, groups = sets((1, 8, 3, (3, 2)), "other_groups", distance, dtype, offset=1000.0)
    check(student, teacher, 1.0, distance, groups)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equal_cells_and_zero_vectors(distance, dtype):
    student, teacher, groups = sets((1, 8, 3, (3, 2)), "other_groups", distance, dtype)
    teacher[:, ::2] = 0
    check(teacher.clone(), teacher, 0.3, distance, groups)
    check(torch.zeros_like(student), teacher, 0.3, distance, groups)


def test_ties_of_single_numbers_pull_nowhere():
    student, teacher, groups = sets((1, 8, 3, (3, 2)), "omni", "l1", torch.float64)
    student[..., ::2] = 0.5
    teacher[..., ::2] = 0.5
    _, gradient = check(student, teacher, 0.3, "l1", groups)
    assert gradient[..., ::2].abs().max() == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_smallest_differences_pull_like_large_ones(dtype):
    """A sign is made by a product with a large number, which must be large enough."""
    gradients = []
    for scale in (2.0**-100, 1.0):
        student, teacher, groups = sets((1, 8, 3, (3, 2)), "omni", "l1", torch.float64)
        student, teacher = ((x > 0).to(dtype) * scale for x in (student, teacher))
        gradients.append(kernels.contrast_triton(student, teacher, 1e30, "l1", groups, True)[1])
    ties = (gradients[1] == 0) & (gradients[0] == 0)
    assert not ties.all()
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-36)


@pytest.mark.parametrize("processors", [1, 2, 3, 99])
@pytest.mark.parametrize("size", [(5, 3, 5, (3, 2)), (7, 2, 5, (1, 4)), (1, 3, 5, (3, 2))])
def test_the_order_of_programs_changes_nothing(processors, size, monkeypatch):
    """However many sets are taken together, and however many are left for the last turn."""
    monkeypatch.setattr(kernels, "_processors", lambda device: processors)
    check(*sets(size, "other_groups", "l1", torch.float32)[:2], 0.7, "l1", 5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_far_cells_with_a_small_temperature_do_not_overflow(distance):
    student, teacher, groups = sets((1, 8, 3, (3, 2)), "other_groups", "cosine", torch.float32)
    scale = 1 if distance == "cosine" else 1000
    check(scale * student, scale * teacher, 0.01, distance, groups)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of the interpreter
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("which", [0, 1])
def test_a_nan_reaches_the_loss(distance, which):
    cells = sets((2, 5, 3, (3, 2)), "other_groups", distance, torch.float32)
    cells[which][1, 3, 2] = torch.nan
    value, gradient = kernels.contrast_triton(*cells[:2], 1.0, distance, 3, True)
    assert value.isnan()
    assert kernels.contrast_triton(*cells[:2], 1.0, distance, 3, False)[0].isnan()
    # The anchor that is nan itself, or those that are compared with a cell that is.
    touched = [3] if which == 0 else [3, *(cell for cell in range(18) if cell % 3 != 0)]
    assert gradient[1, touched].isnan().any(-1).all()
    assert gradient[0].isfinite().all()


def test_the_same_input_gives_the_same_bits():
    student, teacher, groups = sets((2, 13, 6, (3, 2)), "other_groups", "l1", torch.float32)
    first, second = (kernels.contrast_triton(student, teacher, 0.07, "l1", groups, True) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@pytest.mark.parametrize("negatives", NEGATIVES)
@pytest.mark.parametrize("distance", DISTANCES)
def test_the_op_runs_the_kernel(negatives, distance, monkeypatch):
    calls = []
    kernel = kernels.contrast_triton
    assert why_not_launched(torch.zeros((), device=DEVICE)) is None  # once a process, and not counted here
    monkeypatch.setattr(kernels, "contrast_triton", lambda *args: calls.append(args) or kernel(*args))
    student, teacher = torch.randn(2, 1, 9, 4, 5, dtype=torch.float64, device=DEVICE)
    results = []
    for impl in ("reference", "fused", "auto"):
        x = student.clone().requires_grad_()
        value = dense_contrast(
            x, teacher, groups=3, patch_size=(3, 2), distance=distance, negatives=negatives, impl=impl
        )
        (-3 * value).backward()
        results.append((value.detach(), x.grad))
    assert len(calls) == 2
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_maps_have_gradients_of_their_own_dtype(dtype):
    maps = torch.randn(2, 1, 9, 6, 4, device=DEVICE).to(dtype)
    results = []
    for impl in ("reference", "fused"):
        x = maps[0].clone().requires_grad_()
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            value = dense_contrast(x, maps[1], groups=3, patch_size=(3, 2), temperature=1.0, impl=impl)
        value.backward()
        assert value.dtype == torch.float32
        assert x.grad.dtype == dtype
        results.append((value.detach(), x.grad))
    torch.testing.assert_close(results[1], results[0], rtol=torch.finfo(dtype).eps, atol=1e-4)


def test_a_set_of_too_many_cells_is_refused_or_left_to_the_reference(monkeypatch, caplog):
    student, teacher = torch.randn(2, 1, 9, 6, 4, device=DEVICE)
    options = {"groups": 3, "patch_size": (3, 2)}
    expected = dense_contrast(student, teacher, impl="reference", **options)
    monkeypatch.setattr(kernels, "MAX_CELLS", 17)
    with pytest.raises(RuntimeError, match="a patch of 18 cells is more than the 17 that its kernel holds"):
        dense_contrast(student, teacher, impl="fused", **options)
    with caplog.at_level(logging.INFO):
        assert dense_contrast(student, teacher, impl="auto", **options) == expected
    assert "takes reference: a patch of 18 cells is more than the 17" in caplog.text
    for negatives in ("channel", "spatial"):  # whose sets are smaller
        dense_contrast(student, teacher, impl="fused", negatives=negatives, **options)


def test_the_largest_number_of_cells_is_in_the_message():
    maps = torch.zeros(1, 2, 65, 64, device=DEVICE)
    with pytest.raises(RuntimeError, match=r"8320 cells is more than the 8192 .*"):
        dense_contrast(maps, maps, groups=2, patch_size=(65, 64), impl="fused")


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # of torch's own check
@pytest.mark.parametrize("distance", DISTANCES)
def test_opcheck(distance):
    student, teacher = torch.randn(2, 1, 6, 2, 2, device=DEVICE)
    options = (3, (1, 2), 0.5, distance, "other_groups")
    torch.library.opcheck(contrast_maps, (student.clone().requires_grad_(), teacher, *options, True))
    torch.library.opcheck(contrast_maps, (student, teacher, *options, False))
