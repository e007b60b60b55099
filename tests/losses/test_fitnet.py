import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.reference.fitnet import fitnet_by_loops

from segdistill.losses.fitnet import FitNetLoss

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "fitnet.npz"


def test_equals_the_authors_code_in_value_and_gradient():
    with np.load(GOLDEN) as stored:
        golden = {key: torch.from_numpy(stored[key]) for key in stored.files}
    loss = FitNetLoss(6, 12).double()
    loss.load_state_dict({"align.weight": golden["align_weight"]})
    student = golden["student_features"].requires_grad_()
    value = loss(student, golden["teacher_features"])
    torch.testing.assert_close(value, golden["fitnet"], rtol=1e-10, atol=0)
    (gradient,) = torch.autograd.grad(value, student)
    expected = golden["grad.fitnet"]
    assert (gradient - expected).abs().max() < 1e-10 * expected.abs().max()


@pytest.mark.parametrize("size", [(1, 1), (3, 5)])
def test_equals_the_loops(size):
    loss = FitNetLoss(2, 3).double()
    student = torch.randn(2, 2, *size, dtype=torch.float64)
    teacher = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = fitnet_by_loops(student, teacher, loss.align.weight)
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-10)


def test_gradcheck_through_the_projection():
    loss = FitNetLoss(2, 3).double()
    student = torch.randn(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(1, 3, 2, 3, dtype=torch.float64)

    def run(x, weight):
        return torch.func.functional_call(loss, {"align.weight": weight}, (x, teacher))

    assert torch.autograd.gradcheck(run, (student, loss.align.weight))


def test_is_the_mean_squared_error_where_the_projection_copies():
    loss = FitNetLoss(4, 4)
    torch.nn.init.dirac_(loss.align.weight)
    maps = torch.rand(3, 4, 5, 6)
    assert loss(maps, maps) == 0
    assert loss(maps + 0.5, maps).item() == pytest.approx(0.25, rel=1e-5)


def test_a_student_map_of_another_size_is_resized_bilinearly():
    student, teacher = torch.rand(1, 4, 3, 5), torch.rand(1, 6, 7, 8)
    resized = torch.nn.functional.interpolate(student, size=(7, 8), mode="bilinear", align_corners=False)
    loss = FitNetLoss(4, 6)
    torch.testing.assert_close(loss(student, teacher), loss(resized, teacher))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("parameters", [torch.float32, torch.bfloat16])
def test_low_precision_is_computed_in_float32_also_under_autocast(dtype, parameters):
    loss = FitNetLoss(4, 6).to(parameters)
    student = (1000 * torch.randn(1, 4, 3, 5)).to(dtype).requires_grad_()
    teacher = (1000 * torch.randn(1, 6, 3, 5)).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(student, teacher)
    assert value.dtype == torch.float32
    assert value == loss(student.float(), teacher.float())
    assert value > 65504  # float16 could not hold it
    value.backward()
    assert student.grad.isfinite().all()


def test_the_teacher_gets_no_gradient_and_the_projection_one():
    loss, teacher = FitNetLoss(4, 6), torch.rand(1, 6, 3, 5, requires_grad=True)
    loss(torch.rand(1, 4, 3, 5), teacher).backward()
    assert teacher.grad is None
    assert [name for name, p in loss.named_parameters() if p.grad.abs().max() > 0] == ["align.weight"]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: FitNetLoss(0, 6), "`student_channels` must be an integer of at least 1; got 0."),
        (lambda: FitNetLoss(4, 6)(torch.rand(1, 5, 2, 2), torch.rand(1, 6, 2, 2)), "`student` must have 4 channels"),
        (lambda: FitNetLoss(4, 6)(torch.rand(1, 4, 2, 2), torch.rand(1, 7, 2, 2)), "`teacher` must have 6 channels"),
        (lambda: FitNetLoss(4, 6)(torch.rand(2, 4, 2, 2), torch.rand(1, 6, 2, 2)), "got batches of 2 and 1"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call()
