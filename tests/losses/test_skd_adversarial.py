import copy
import re

import pytest
import torch
from tests.losses.contract import AnySize, KeepsState, LowPrecision, RefusesWrongMaps, SaysWhatItReturns
from tests.reference.skd import scores_by_layers

from segdistill.losses.skd import SKDAdversarialLoss

torch.set_num_threads(1)


class TestAdversarial(AnySize, LowPrecision, RefusesWrongMaps, KeepsState, SaysWhatItReturns):
    """In evaluation mode; its values are the formulas' and its gradients go two ways, see below."""

    channels = 4, 4
    fixed = True
    scale = 50.0

    def make(self):
        return SKDAdversarialLoss(4).eval()


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
    assert changed_by(loss, lambda: loss.score(student)) == set()
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


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: SKDAdversarialLoss(0), "`num_classes` must be an integer of at least 1; got 0."),
        (lambda x: SKDAdversarialLoss(5, objective="gan"), "`objective` must be one of 'hinge', 'wgan-gp'; got 'gan'."),
        (lambda x: SKDAdversarialLoss(5, gradient_penalty=-1), "`gradient_penalty` must be a finite number above 0"),
        (lambda x: SKDAdversarialLoss(5, lr=0), "`lr` must be a finite number above 0; got 0."),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 5, 3, 4))
