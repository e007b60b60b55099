import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.losses.contract import Contract, SeveralMaps
from tests.reference.fitnet import fitnet_by_loops

from segdistill.losses.fitnet import FitNetLoss

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "fitnet.npz"


class TestFitNet(Contract, SeveralMaps):
    fixed = True
    scale, overflows = 1000.0, True
    parameter_types = torch.float32, torch.bfloat16

    def make(self):
        return FitNetLoss(3, 4)

    def slow(self, loss, student, teacher, labels):
        return fitnet_by_loops(student, teacher, loss.align.weight)


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


def test_is_the_mean_squared_error_where_the_projection_copies():
    loss = FitNetLoss(4, 4)
    torch.nn.init.dirac_(loss.align.weight)
    maps = torch.rand(3, 4, 5, 6)
    assert loss(maps, maps) == 0
    assert loss(maps + 0.5, maps).item() == pytest.approx(0.25, rel=1e-5)


def test_layers_have_a_projection_each_and_are_added_up():
    loss = FitNetLoss([3, 5], [6, 7])
    assert {name: tuple(x.shape) for name, x in loss.named_parameters()} == {
        "align.0.weight": (6, 3, 1, 1), "align.1.weight": (7, 5, 1, 1)
    }  # fmt: skip
    student, teacher = ([torch.randn(2, width, 4, 4) for width in widths] for widths in ((3, 5), (6, 7)))
    expected = 0.0
    for align, s, t in zip(loss.align, student, teacher, strict=True):
        expected = expected + torch.nn.functional.mse_loss(align(s), t)
    torch.testing.assert_close(loss(student, teacher), expected)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: FitNetLoss(0, 6), "`student_channels` must be an integer of at least 1; got 0."),
        (lambda: FitNetLoss([3, 4], [6, 0]), "`teacher_channels` must be an integer of at least 1; got 0."),
        (lambda: FitNetLoss([3, 4], 6), "`student_channels` and `teacher_channels` must be as many widths; got [3, 4]"),
        (
            lambda: FitNetLoss([3, 4], [6, 6])(*torch.rand(2, 1, 3, 2, 2)),
            "as there are widths; got 1 and 2",
        ),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call()
