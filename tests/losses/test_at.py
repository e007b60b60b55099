from pathlib import Path

import numpy as np
import pytest
import torch
from tests.losses.contract import Contract, SeveralMaps
from tests.reference.at import at_by_loops

from segdistill.losses.at import ATLoss, at, attention_map

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "at.npz"


class TestAT(Contract, SeveralMaps):
    scale = 1000.0  # whose squares float16 cannot hold

    def make(self):
        return ATLoss()

    def slow(self, loss, student, teacher, labels):
        return at_by_loops(student, teacher)


def test_equals_the_authors_code_in_value_and_gradient():
    with np.load(GOLDEN) as stored:
        golden = {key: torch.from_numpy(stored[key]) for key in stored.files}
    student = golden["student_features"].requires_grad_()
    value = ATLoss()(student, golden["teacher_features"])
    torch.testing.assert_close(value, golden["at"], rtol=1e-10, atol=0)
    (gradient,) = torch.autograd.grad(value, student)
    expected = golden["grad.at"]
    assert (gradient - expected).abs().max() < 1e-10 * expected.abs().max()


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


def test_layers_are_added_up():
    student, teacher = ([torch.randn(2, width, 4, 4) for width in widths] for widths in ((3, 5), (6, 7)))
    torch.testing.assert_close(ATLoss()(student, teacher), at(student[0], teacher[0]) + at(student[1], teacher[1]))
