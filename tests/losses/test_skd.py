import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.losses.contract import Contract
from tests.reference.skd import skd_pairwise_by_loops

from segdistill import Distiller, Teacher, Term
from segdistill.losses.skd import SKDAdversarialLoss, SKDLoss, skd_pairwise

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "skd.npz"


class TestSKD(Contract):
    scale = 50.0
    gradcheck_size = 3, 4

    def make(self):
        return SKDLoss()

    def slow(self, loss, student, teacher, labels):
        return skd_pairwise_by_loops(student, teacher, (2, 2))


def test_pairwise_equals_the_authors_code_in_value_and_gradient():
    with np.load(GOLDEN) as stored:
        golden = {key: torch.from_numpy(stored[key]) for key in stored.files}
    student = golden["student_features"].requires_grad_()
    value = SKDLoss()(student, golden["teacher_features"])
    torch.testing.assert_close(value, golden["skd_pairwise"], rtol=1e-10, atol=0)
    (gradient,) = torch.autograd.grad(value, student)
    expected = golden["grad.skd_pairwise"]
    assert (gradient - expected).abs().max() < 1e-10 * expected.abs().max()


@pytest.mark.parametrize(
    ("size", "pool_size", "kernel"),
    [
        ((5, 7), 1, (1, 1)),
        ((5, 7), 2, (2, 2)),
        ((5, 7), 9, (9, 9)),
        ((5, 7), 0.5, (3, 4)),
        ((6, 8), 0.5, (3, 4)),
        ((6, 8), 0.25, (2, 2)),
        ((1, 1), 0.5, (1, 1)),
    ],
)
def test_pairwise_equals_the_loops(size, pool_size, kernel):
    torch.manual_seed(0)
    student = torch.randn(2, 3, *size, dtype=torch.float64)
    teacher = torch.randn(2, 5, *size, dtype=torch.float64)
    value = SKDLoss(pool_size=pool_size)(student, teacher).item()
    assert value == pytest.approx(skd_pairwise_by_loops(student, teacher, kernel), rel=1e-10, abs=1e-15)


def test_pairwise_is_blind_to_the_length_of_vectors_and_to_rotations_of_the_channels():
    student, teacher = torch.randn(2, 2, 6, 5, 7, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    lengths = torch.rand(2, 1, 5, 7, dtype=torch.float64) + 0.1
    turned = torch.einsum("ij,bjhw->bihw", rotation, student) * lengths
    torch.testing.assert_close(
        skd_pairwise(turned, teacher, pool_size=1), skd_pairwise(student, teacher, pool_size=1), rtol=1e-9, atol=0
    )
    assert skd_pairwise(turned, student, pool_size=1).item() == pytest.approx(0, abs=1e-20)
    assert 0.01 < skd_pairwise(student, teacher) < 4


def test_pairwise_vectors_of_zeros_have_similarity_zero_and_a_finite_gradient():
    student, teacher = torch.randn(2, 1, 4, 4, 4)
    student[:, :, :2] = 0
    student.requires_grad_()
    value = skd_pairwise(student, teacher)
    value.backward()
    assert value.item() == pytest.approx(skd_pairwise_by_loops(student, teacher, (2, 2)), rel=1e-5)
    assert student.grad[:, :, :2].abs().max() == 0
    assert 0 < student.grad[:, :, 2:].abs().max() < 10


def test_both_terms_compose_in_a_distiller():
    def network(width):
        return torch.nn.Sequential(torch.nn.Conv2d(3, width, 3, padding=1), torch.nn.Conv2d(width, 5, 1))

    teacher = Teacher(network(8), features={"deep": "0"})
    terms = [Term("kd"), Term(SKDLoss(), layer="deep"), Term(SKDAdversarialLoss(5))]
    distiller = Distiller(network(4), terms, features={"deep": "0"}, teacher=teacher)
    images, labels = torch.rand(2, 3, 16, 16), torch.randint(0, 5, (2, 16, 16))
    output = distiller(images, labels, teacher(images))
    assert {"SKDLoss", "SKDAdversarialLoss.generator", "SKDAdversarialLoss.discriminator"} < set(output.parts)
    assert distiller.weights["SKDLoss"] == 10
    assert distiller.weights["SKDAdversarialLoss.generator"] == 1e-3
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in distiller.parameters())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: SKDLoss(pool_size=0), "`pool_size` must be a number of cells, an integer of at least 1, or a share"),
        (lambda x: SKDLoss(pool_size=1.5), "got 1.5"),
        (lambda x: SKDLoss(pool_size=True), "got True"),
        (lambda x: SKDLoss(pool_size="half"), "got 'half'"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 5, 3, 4))
