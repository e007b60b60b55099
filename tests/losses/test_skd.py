import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.reference.skd import scores_by_layers, skd_pairwise_by_loops

from segdistill import Distiller, Teacher, Term
from segdistill.losses.skd import SKDAdversarialLoss, SKDLoss, skd_pairwise

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "skd.npz"


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


def test_pairwise_gradcheck():
    student = torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(2, 4, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: skd_pairwise(x, teacher), student)


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


def test_pairwise_student_maps_of_another_size_are_resized_and_the_teacher_gets_no_gradient():
    student, teacher = torch.randn(1, 5, 3, 4), torch.randn(1, 8, 6, 9, requires_grad=True)
    resized = torch.nn.functional.interpolate(student, size=(6, 9), mode="bilinear", align_corners=False)
    torch.testing.assert_close(skd_pairwise(student, teacher), skd_pairwise(resized, teacher))
    assert not skd_pairwise(student, teacher).requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_pairwise_low_precision_is_computed_in_float32_also_under_autocast(dtype):
    student = (50 * torch.randn(1, 5, 4, 4)).to(dtype).requires_grad_()
    teacher = (50 * torch.randn(1, 8, 4, 4)).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = skd_pairwise(student, teacher)
    assert value.dtype == torch.float32
    assert value == skd_pairwise(student.float(), teacher.float())
    value.backward()
    assert student.grad.isfinite().all()


def changed_by(loss, action):
    """Names of the tensors of the state that the action changes."""
    before = copy.deepcopy(loss.state_dict())
    action()
    return {name for name, tensor in loss.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("size", [(64, 64), (65, 80)])
def test_the_discriminator_has_the_published_layers(size):
    torch.manual_seed(0)
    discriminator = SKDAdversarialLoss(3).double().discriminator
    with torch.no_grad():
        for attention in discriminator.attentions[2:]:
            assert attention.gamma == 0
            attention.gamma.fill_(0.7)
    logits = torch.randn(2, 3, *size, dtype=torch.float64)
    for _ in range(2):
        discriminator(logits)
    discriminator.eval()
    expected = scores_by_layers(discriminator.state_dict(), logits)
    torch.testing.assert_close(discriminator(logits), expected, rtol=1e-9, atol=1e-12)
    assert expected.shape == (2, 1, 1, 1 + (size[1] // 16 - 4))


def test_spectral_norm_holds_the_convolutions_at_singular_value_one():
    loss = SKDAdversarialLoss(3)
    for _ in range(20):
        loss(torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8))
    for conv in loss.discriminator.convs:
        assert torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 12), (3, 64)])
def test_small_maps_end_in_a_single_score(size):
    loss = SKDAdversarialLoss(4)
    assert loss.discriminator(torch.randn(2, 4, *size)).shape == (2, 1, 1, 1)
    student = torch.randn(2, 4, *size, requires_grad=True)
    sum(loss(student, torch.randn(2, 4, *size))).backward()
    assert student.grad.isfinite().all()
    assert student.grad.abs().sum() > 0 or size == (1, 1)  # BatchNorm of two values leaves little but their sign


def test_the_parts_are_the_formulas():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 4, 8, 12, dtype=torch.float64)
    for objective in ("hinge", "wgan-gp"):
        loss = SKDAdversarialLoss(4, objective=objective, gradient_penalty=3.0).double().eval()
        terms = loss(student, teacher)
        torch.manual_seed(1)
        terms = loss(student, teacher)
        s, t = (loss.discriminator(x).flatten().tolist() for x in (student, teacher))
        assert terms.generator.item() == pytest.approx(-sum(s) / 3)
        if objective == "hinge":
            expected = sum(max(0, 1 - v) for v in t) / 3 + sum(max(0, 1 + v) for v in s) / 3
        else:
            torch.manual_seed(1)
            share = torch.rand(3, 1, 1, 1, dtype=torch.float64)
            between = (share * teacher + (1 - share) * student).requires_grad_()
            (slope,) = torch.autograd.grad(loss.discriminator(between).sum(), between)
            penalty = sum((slope[b].square().sum().sqrt().item() - 1) ** 2 for b in range(3)) / 3
            expected = (sum(s) - sum(t)) / 3 + 3.0 * penalty
        assert terms.discriminator.item() == pytest.approx(expected)


@pytest.mark.parametrize("objective", ["hinge", "wgan-gp"])
def test_gradients_go_where_they_should_and_nowhere_else(objective):
    loss = SKDAdversarialLoss(4, objective=objective)
    student, teacher = torch.randn(2, 2, 4, 8, 12).unbind()
    student, teacher = student.clone().requires_grad_(), teacher.clone().requires_grad_()
    terms = loss(student, teacher)
    own = list(loss.discriminator.parameters())
    assert len(own) == len(list(loss.parameters())) > 0
    to_student, to_teacher, *to_own = torch.autograd.grad(
        terms.generator, [student, teacher, *own], allow_unused=True, retain_graph=True
    )
    assert to_student.abs().sum() > 0
    assert to_teacher is None
    assert all(gradient is None for gradient in to_own)
    to_student, to_teacher, *to_own = torch.autograd.grad(
        terms.discriminator, [student, teacher, *own], allow_unused=True
    )
    assert to_student is None
    assert to_teacher is None
    assert all(gradient is not None and gradient.isfinite().all() for gradient in to_own)
    held = [parameter for group in loss.own_optimizer().param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in held} == {id(parameter) for parameter in own}


def test_the_penalty_teaches_the_discriminator():
    student, teacher = torch.randn(2, 2, 4, 8, 12)
    gradients = []
    for factor in (1.0, 100.0):
        torch.manual_seed(0)
        loss = SKDAdversarialLoss(4, objective="wgan-gp", gradient_penalty=factor).eval()
        gradients += torch.autograd.grad(loss(student, teacher).discriminator, loss.discriminator.score.weight)
    assert (gradients[1] - gradients[0]).abs().max() > 0.1 * gradients[0].abs().max()


def test_gradcheck_of_the_student_in_evaluation_mode():
    loss = SKDAdversarialLoss(2).double().eval()
    student = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x, teacher).generator, student)


def test_state_changes_in_training_mode_only_and_not_by_the_pass_that_teaches_the_student():
    loss = SKDAdversarialLoss(4)
    student, teacher = torch.randn(2, 2, 4, 8, 12)
    assert {name.rsplit(".", 1)[1] for name in changed_by(loss, lambda: loss(student, teacher))} == {
        "running_mean", "running_var", "num_batches_tracked", "_u", "_v",
    }  # fmt: skip
    assert loss.discriminator.norm.num_batches_tracked == 2
    assert changed_by(loss, lambda: loss._constant(student)) == set()
    assert changed_by(loss.eval(), lambda: loss(student, teacher)) == set()


def train(loss, optimizers, student, teacher, steps):
    for _ in range(steps):
        terms = loss(student, teacher)
        (
            loss.published["generator"] * terms.generator + loss.published["discriminator"] * terms.discriminator
        ).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return terms


def test_the_discriminator_learns_and_the_student_deceives_it():
    torch.manual_seed(0)
    loss = SKDAdversarialLoss(3)
    teacher = torch.randn(4, 3, 8, 8).cumsum(dim=3)  # a texture that the student lacks
    student = torch.randn(4, 3, 8, 8, requires_grad=True)
    before = loss(student, teacher)
    after = train(loss, [loss.own_optimizer()], student, teacher, 20)
    assert after.discriminator < 0.5 * before.discriminator
    assert (loss.discriminator(teacher).mean() > loss.discriminator(student).mean() + 1).item()
    student.grad = None
    fooled = train(loss, [torch.optim.Adam([student], lr=0.1)], student, teacher, 20)
    assert fooled.generator < after.generator - 0.5


def test_resume_is_exact():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 2, 3, 8, 8)
    loss = SKDAdversarialLoss(3, objective="wgan-gp")
    optimizer = loss.own_optimizer()
    train(loss, [optimizer], student, teacher, 2)
    other = SKDAdversarialLoss(3, objective="wgan-gp")
    resumed = other.own_optimizer()
    other.load_state_dict(loss.state_dict())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    torch.manual_seed(1)
    expected = train(loss, [optimizer], student, teacher, 2)
    torch.manual_seed(1)
    assert train(other, [resumed], student, teacher, 2) == expected


def test_student_logits_of_another_size_are_resized():
    loss = SKDAdversarialLoss(3).eval()
    student, teacher = torch.randn(1, 3, 3, 4), torch.randn(1, 3, 6, 9)
    resized = torch.nn.functional.interpolate(student, size=(6, 9), mode="bilinear", align_corners=False)
    torch.testing.assert_close(loss(student, teacher), loss(resized, teacher))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_is_computed_in_the_precision_of_the_parameters(dtype):
    loss = SKDAdversarialLoss(3).eval()
    student = (50 * torch.randn(1, 3, 8, 8)).to(dtype).requires_grad_()
    teacher = (50 * torch.randn(1, 3, 8, 8)).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = loss(student, teacher)
    assert all(term.dtype == torch.float32 for term in terms)
    assert terms == loss(student.float(), teacher.float())
    sum(terms).backward()
    assert student.grad.isfinite().all()


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
        (lambda x: skd_pairwise(x, x[:1]), "got batches of 2 and 1"),
        (lambda x: skd_pairwise(x[0], x), "`student` must be a floating-point map (B, C, H, W)"),
        (lambda x: SKDAdversarialLoss(0), "`num_classes` must be an integer of at least 1; got 0."),
        (lambda x: SKDAdversarialLoss(5, objective="gan"), "`objective` must be one of 'hinge', 'wgan-gp'; got 'gan'."),
        (lambda x: SKDAdversarialLoss(5, gradient_penalty=-1), "`gradient_penalty` must be a finite number above 0"),
        (lambda x: SKDAdversarialLoss(5, lr=0), "`lr` must be a finite number above 0; got 0."),
        (lambda x: SKDAdversarialLoss(4)(x, x), "`student` must have 4 channels; got 5"),
        (lambda x: SKDAdversarialLoss(5)(x, x[:, :4]), "`teacher` must have 5 channels; got 4"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 5, 3, 4))
