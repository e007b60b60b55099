import itertools
import math

import pytest
import torch
from tests.reference.dense_contrast import dense_contrast_by_loops

from segdistill.ops import dense_contrast
from segdistill.ops.dense_contrast.options import num_negatives

torch.set_num_threads(1)

DISTANCES = ("l1", "l2", "cosine")
NEGATIVES = ("other_groups", "omni", "channel", "spatial")
EVERY_KIND = list(itertools.product(NEGATIVES, DISTANCES))


def pair(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(*shape, generator=generator, dtype=dtype) for _ in range(2))
    return student.requires_grad_(), teacher


@pytest.mark.parametrize(("negatives", "distance"), EVERY_KIND)
@pytest.mark.parametrize(
    ("shape", "groups", "patch_size"),
    [((2, 6, 5, 7), 3, (2, 3)), ((1, 4, 3, 4), 2, (1, 4)), ((1, 6, 4, 4), 6, (4, 2))],
)
def test_equals_the_loops_in_value_and_gradient(negatives, distance, shape, groups, patch_size):
    student, teacher = pair(*shape)
    options = {
        "groups": groups,
        "patch_size": patch_size,
        "temperature": 0.3,
        "distance": distance,
        "negatives": negatives,
    }
    expected, counts = dense_contrast_by_loops(student, teacher, **options)
    value = dense_contrast(student, teacher, **options)
    # Two vectors of one number are parallel or opposite: the gradient is zero, and only its rounding differs.
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-14)
    (gradient,) = torch.autograd.grad(3 * value, student)
    (expected_gradient,) = torch.autograd.grad(3 * expected, student)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-13)
    assert counts == {num_negatives(negatives, groups, patch_size)}


def test_a_case_computed_by_hand():
    # One position, two groups of one channel: distances 1 and 3 for the first anchor, 2 and 4 for the second.
    student = torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1)
    teacher = torch.tensor([0.0, 4.0]).reshape(1, 2, 1, 1)
    value = dense_contrast(student, teacher, groups=2, patch_size=(1, 1), temperature=1.0)
    expected = -math.log(math.exp(-1) / (math.exp(-1) + math.exp(-3))) - math.log(0.5)
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_the_published_setting_has_240_negatives_and_a_blind_guess_costs_their_logarithm():
    zeros = torch.zeros(1, 32, 4, 4)
    value = dense_contrast(zeros, zeros)
    assert value.item() == pytest.approx(16 * math.log(241), rel=1e-6)  # a sum over the groups


@pytest.mark.parametrize(("negatives", "distance"), EVERY_KIND)
def test_gradcheck(negatives, distance):
    student, teacher = pair(1, 4, 4, 5, seed=1)
    assert torch.autograd.gradcheck(
        lambda x: dense_contrast(
            x, teacher, groups=2, patch_size=(2, 2), temperature=0.5, distance=distance, negatives=negatives
        ),
        student,
    )


@pytest.mark.parametrize(("negatives", "distance"), EVERY_KIND)
def test_equality_and_zero_vectors_have_finite_gradients(negatives, distance):
    _, teacher = pair(2, 4, 4, 4, dtype=torch.float32)
    teacher[:, :, 0] = 0
    for start in (teacher.clone(), torch.zeros_like(teacher)):
        student = start.requires_grad_()
        value = dense_contrast(student, teacher, groups=2, patch_size=(2, 2), distance=distance, negatives=negatives)
        value.backward()
        assert value.isfinite()
        assert student.grad.isfinite().all()
        assert student.grad.abs().max() < 1e3


@pytest.mark.parametrize("distance", ["l1", "l2"])
@pytest.mark.parametrize("negatives", NEGATIVES)
def test_is_least_where_well_separated_cells_agree(negatives, distance):
    _, teacher = pair(1, 8, 4, 4, seed=2)
    teacher = teacher * 20
    options = {
        "groups": 4,
        "patch_size": (2, 2),
        "temperature": 0.07,
        "distance": distance,
        "negatives": negatives,
    }
    best = dense_contrast(teacher, teacher, **options).item()
    assert 0 <= best < 1e-3
    for seed in range(3):
        noise, _ = pair(1, 8, 4, 4, seed=seed)
        assert dense_contrast(teacher + 20 * noise, teacher, **options).item() >= best
    # Every cell now equals a wrong one: the group next to it, one position further.
    moved = teacher.roll((2, 1), (1, 3))
    assert dense_contrast(moved, teacher, **options).item() > best + 1


def test_cosine_ignores_length_and_distances_ignore_a_common_shift():
    student, teacher = pair(2, 8, 4, 4)
    cosine = {"groups": 4, "patch_size": (2, 2), "distance": "cosine"}
    torch.testing.assert_close(
        dense_contrast(7 * student, teacher, **cosine), dense_contrast(student, teacher, **cosine)
    )
    for distance in ("l1", "l2"):
        options = {"groups": 4, "patch_size": (2, 2), "distance": distance}
        torch.testing.assert_close(
            dense_contrast(student + 5, teacher + 5, **options), dense_contrast(student, teacher, **options)
        )


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_order_of_images_and_of_patches_does_not_matter(negatives):
    student, teacher = pair(3, 8, 4, 8)
    options = {"groups": 4, "patch_size": (2, 4), "negatives": negatives}
    value = dense_contrast(student, teacher, **options)
    for move in (lambda x: x[[2, 0, 1]], lambda x: x.roll((2, 4), (2, 3))):
        torch.testing.assert_close(dense_contrast(move(student), move(teacher), **options), value)


def test_mean_over_positions_does_not_change_with_the_size_of_the_map():
    student, teacher = pair(1, 8, 4, 4)
    value = dense_contrast(student, teacher, groups=4)
    torch.testing.assert_close(dense_contrast(student.tile(2, 1, 3, 2), teacher.tile(2, 1, 3, 2), groups=4), value)


def test_what_no_patch_covers_does_not_count():
    student, teacher = pair(2, 8, 7, 9)
    options = {"groups": 4, "patch_size": (3, 4), "temperature": 5.0, "distance": "l2"}
    value = dense_contrast(student, teacher, **options)
    torch.testing.assert_close(value, dense_contrast(student[..., :6, :8], teacher[..., :6, :8], **options))
    (gradient,) = torch.autograd.grad(value, student)
    assert gradient[..., 6:, :].abs().max() == 0
    assert gradient[..., 8:].abs().max() == 0
    assert gradient[..., :6, :8].abs().min() > 0


def test_memory_layout_does_not_matter():
    student, teacher = pair(2, 8, 4, 8)
    value = dense_contrast(student, teacher, groups=4)
    for layout in (
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.mT.contiguous().mT,
    ):
        torch.testing.assert_close(dense_contrast(layout(student), layout(teacher), groups=4), value)
    wide = torch.cat([student, student], dim=3)[..., ::2]
    torch.testing.assert_close(
        dense_contrast(wide, teacher, groups=4), dense_contrast(wide.contiguous(), teacher, groups=4)
    )


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_float32_keeps_its_digits_far_from_the_origin(distance):
    student, teacher = ((1000 + x.detach()).float() for x in pair(1, 8, 4, 4))
    options = {"groups": 4, "temperature": 1.0, "distance": distance}
    exact = dense_contrast(student.double(), teacher.double(), **options)
    torch.testing.assert_close(dense_contrast(student, teacher, **options).double(), exact, rtol=1e-6, atol=0)
