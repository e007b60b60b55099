import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.reference.at import at_by_loops

from segdistill.losses.at import ATLoss, at, attention_map

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "at.npz"


def test_equals_the_authors_code_in_value_and_gradient():
    with np.load(GOLDEN) as stored:
        golden = {key: torch.from_numpy(stored[key]) for key in stored.files}
    student = golden["student_features"].requires_grad_()
    value = ATLoss()(student, golden["teacher_features"])
    torch.testing.assert_close(value, golden["at"], rtol=1e-10, atol=0)
    (gradient,) = torch.autograd.grad(value, student)
    expected = golden["grad.at"]
    assert (gradient - expected).abs().max() < 1e-10 * expected.abs().max()


@pytest.mark.parametrize("size", [(1, 1), (3, 5)])
def test_equals_the_loops(size):
    torch.manual_seed(0)
    student = torch.randn(2, 4, *size, dtype=torch.float64)
    teacher = torch.randn(2, 3, *size, dtype=torch.float64)
    assert at(student, teacher).item() == pytest.approx(at_by_loops(student, teacher), rel=1e-10, abs=1e-30)


def test_gradcheck():
    student = torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(2, 4, 2, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: at(x, teacher), student)


def test_is_blind_to_sign_scale_and_width_of_each_image():
    student, teacher = torch.randn(2, 2, 5, 4, 4)
    scale = torch.tensor([3.0, -0.01])[:, None, None, None]
    assert at(scale * teacher, teacher).item() == pytest.approx(0, abs=1e-12)
    assert at(teacher.tile(1, 3, 1, 1), teacher).item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(at(scale * student, teacher), at(student, teacher))
    torch.testing.assert_close(at(student.mT, teacher.mT), at(student, teacher))


def test_attention_in_different_places_costs_most():
    student, teacher = torch.zeros(2, 1, 3, 4, 5)
    student[:, 0, 0, 0] = 1
    teacher[:, 1, 2, 3] = 7
    assert at(student, teacher).item() == pytest.approx(2 / 20)


def test_a_map_of_zeros_gives_finite_gradients():
    student = torch.zeros(1, 3, 4, 5, requires_grad=True)
    assert attention_map(student).abs().max() == 0
    value = at(student, torch.rand(1, 3, 4, 5))
    value.backward()
    assert value.item() == pytest.approx(1 / 20)
    assert student.grad.abs().max() == 0


def test_a_student_map_of_another_size_is_resized_bilinearly():
    student, teacher = torch.rand(1, 4, 3, 5), torch.rand(1, 6, 7, 8)
    resized = torch.nn.functional.interpolate(student, size=(7, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(at(student, teacher), at(resized, teacher))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_is_computed_in_float32_also_under_autocast(dtype):
    student = (1000 * torch.randn(1, 4, 3, 5)).to(dtype).requires_grad_()  # squares that float16 cannot hold
    teacher = (1000 * torch.randn(1, 6, 3, 5)).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = at(student, teacher)
    assert value.dtype == torch.float32
    assert value == at(student.float(), teacher.float())
    value.backward()
    assert student.grad.isfinite().all()


def test_the_teacher_gets_no_gradient():
    student, teacher = torch.rand(1, 4, 3, 5, requires_grad=True), torch.rand(1, 6, 3, 5, requires_grad=True)
    at(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: at(x, x[:1]), "got batches of 2 and 1"),
        (lambda x: at(x[0], x), "`student` must be a floating-point map (B, C, H, W)"),
        (lambda x: at(x, x.long()), "`teacher` must be a floating-point map (B, C, H, W)"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 5, 3, 4))
