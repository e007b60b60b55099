import copy
import re

import pytest
import torch
from tests.losses.contract import Contract, SeveralMaps
from tests.reference.maskd import maskd_by_loops, masks_by_loops, token_loss_by_loops

from segdistill import Distiller, Teacher, Term
from segdistill.losses.maskd import MasKDLoss, maskd, token_loss, token_masks
from segdistill.types import IGNORE_INDEX

torch.set_num_threads(1)


class TestStageTwo(Contract, SeveralMaps):
    channels = 3, 3
    fixed = True
    scale = 50.0
    untaught = ("tokens",)  # frozen
    test_wrong_labels_are_refused_in_one_sentence = None  # they are read in stage 1 alone; see the errors below

    def make(self):
        loss = MasKDLoss(3, num_masks=2, token_steps=1)
        loss.freeze(torch.randn(2, 3))
        return loss

    def slow(self, loss, student, teacher, labels):
        return 0.0, maskd_by_loops(student, teacher, loss.frozen)


def maps(*shape, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return torch.randn(2, *shape, dtype=dtype).unbind()


@pytest.mark.parametrize("num_masks", [1, 2, 4])
@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 3, 3, 5)])
def test_equals_the_loops(shape, num_masks):
    student, teacher = maps(*shape)
    tokens = torch.randn(num_masks, 3, dtype=torch.float64)
    labels = torch.randint(0, 3, (shape[0], *shape[2:]))
    labels[:, :, 3:] = IGNORE_INDEX
    expected = torch.tensor(masks_by_loops(teacher, tokens), dtype=torch.float64)
    torch.testing.assert_close(token_masks(teacher, tokens), expected, rtol=1e-10, atol=0)
    value = maskd(student, teacher, tokens).item()
    assert value == pytest.approx(maskd_by_loops(student, teacher, tokens), rel=1e-10)
    value = token_loss(teacher, labels, tokens).item()
    assert value == pytest.approx(token_loss_by_loops(teacher, labels, tokens), rel=1e-10)


def test_gradcheck_of_student_and_tokens():
    student, teacher = maps(2, 3, 2, 3)
    tokens = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[[0, 1, IGNORE_INDEX], [2, 0, 1]]] * 2)
    assert torch.autograd.gradcheck(lambda x: maskd(x, teacher, tokens), student.clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda x: token_loss(teacher, labels, x), tokens)
    assert not maskd(student, teacher.clone().requires_grad_(), tokens).requires_grad


def test_pixels_outside_every_mask_do_not_count():
    student, teacher = maps(1, 2, 4, 4)
    teacher[:, 0, :2], teacher[:, 0, 2:] = 100, -100
    tokens = torch.tensor([[1.0, 0.0], [0.5, 0.0]], dtype=torch.float64)
    changed = student.clone()
    changed[:, :, 2:] += 7
    assert maskd(changed, teacher, tokens).item() == pytest.approx(maskd(student, teacher, tokens).item(), rel=1e-12)
    expected = 0.5 * (student - teacher)[:, :, :2].square().mean().item()
    assert maskd(student, teacher, tokens).item() == pytest.approx(expected, rel=1e-5)
    nowhere = maskd(student, -teacher.abs(), torch.full((1, 2), 1e6, dtype=torch.float64))  # no mask holds any pixel
    assert nowhere.item() == pytest.approx(0, abs=1e-12)


def test_equal_masks_overlap_fully_and_distinct_ones_not():
    teacher = torch.tensor([100.0, -100.0]).repeat(8).view(1, 1, 4, 4)
    nothing = torch.full((1, 4, 4), IGNORE_INDEX)
    assert token_loss(teacher, nothing, torch.tensor([[1.0], [1.0]])).item() == pytest.approx(1)
    assert token_loss(teacher, nothing, torch.tensor([[1.0], [-1.0]])).item() == pytest.approx(0)


def test_ignored_pixels_and_large_labels():
    _, teacher = maps(1, 3, 4, 6)
    tokens = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 3, (1, 4, 6))
    labels[:, :2] = IGNORE_INDEX
    large = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert token_loss(teacher, large, tokens) == token_loss(teacher, labels, tokens)
    value = token_loss(teacher, torch.full_like(large, IGNORE_INDEX), tokens)  # the overlap of the masks alone
    (gradient,) = torch.autograd.grad(value, tokens)
    assert 0 <= value <= 1
    assert gradient.isfinite().all()


def step(loss, student, teacher, labels=None, optimizer=None):
    terms = loss(student, teacher, labels)
    if optimizer is not None:
        sum(terms).backward()
        optimizer.step()
        optimizer.zero_grad()
    return terms


def test_the_stages_follow_each_other_and_frozen_tokens_stay():
    torch.manual_seed(0)
    student, teacher = maps(2, 3, 4, 6, dtype=torch.float32)
    labels = torch.randint(0, 3, (2, 4, 6))
    loss = MasKDLoss(3, num_masks=2, token_steps=3)
    optimizer = loss.own_optimizer()
    start = loss.tokens.detach().clone()
    for _ in range(3):
        expected = token_loss(teacher, labels, loss.tokens)
        terms = step(loss, student, teacher, labels, optimizer)
        assert terms.masks == expected
        assert terms.mimic == 0
    learnt = loss.tokens.detach().clone()
    assert not torch.equal(learnt, start)
    for _ in range(3):  # momentum and decay move the parameters on, not what counts
        terms = step(loss, student, teacher, None, optimizer)
        assert terms.masks == 0
        assert terms.mimic == maskd(student, teacher, learnt)
    assert not torch.equal(loss.tokens, learnt)


def test_gradients_go_where_they_should_and_nowhere_else():
    student, teacher = (x.requires_grad_() for x in maps(1, 3, 4, 6, dtype=torch.float32))
    loss = MasKDLoss(3, token_steps=1)
    inputs = [student, teacher, loss.tokens]

    def norms(part):
        gradients = torch.autograd.grad(part, inputs, allow_unused=True, retain_graph=True)
        return [None if gradient is None else gradient.abs().sum().item() > 0 for gradient in gradients]

    first, second = loss(student, teacher, torch.zeros(1, 4, 6).long()), loss(student, teacher)
    assert norms(first.masks) == [None, None, True]
    assert norms(first.mimic) == [False, None, None]
    assert norms(second.masks) == [None, None, False]
    assert norms(second.mimic) == [True, None, None]


def test_auxiliary_logits_are_added_with_their_weight_under_the_same_tokens():
    student, teacher = torch.randn(2, 2, 1, 3, 4, 6).unbind()
    student.requires_grad_()
    loss = MasKDLoss(3, token_steps=1, aux_weight=0.3)
    first = loss([*student], [*teacher], torch.zeros(1, 4, 6).long())
    assert first.masks == token_loss(teacher[0], torch.zeros(1, 4, 6).long(), loss.tokens)
    first.mimic.backward()
    assert first.mimic == student.grad.abs().max() == 0  # a gradient for every output, as several processes need
    parts = [maskd(s, t, loss.tokens) for s, t in zip(student, teacher, strict=True)]
    torch.testing.assert_close(loss([*student], [*teacher]).mimic, parts[0] + 0.3 * parts[1])


def test_only_training_calls_count():
    student, teacher = maps(1, 3, 4, 6, dtype=torch.float32)
    labels = torch.zeros(1, 4, 6).long()
    loss = MasKDLoss(3, token_steps=1).eval()
    before = copy.deepcopy(loss.state_dict())
    assert loss(student, teacher, labels).masks == loss(student, teacher, labels).masks > 0
    torch.testing.assert_close(loss.state_dict(), before, rtol=0, atol=0)
    loss.train()(student, teacher, labels)
    assert loss.eval()(student, teacher).mimic > 0


@pytest.mark.parametrize("done", [1, 3, 5])
def test_resume_is_exact_in_both_stages_and_from_one_to_the_other(done):
    student, teacher = maps(2, 3, 4, 6, dtype=torch.float32)
    labels = torch.randint(0, 3, (2, 4, 6))
    loss, other = (MasKDLoss(3, token_steps=3) for _ in range(2))
    optimizer, resumed = loss.own_optimizer(), other.own_optimizer()
    for _ in range(4):  # `other` is in stage 2 already
        step(other, student, teacher, labels, resumed)
    for _ in range(done):
        step(loss, student, teacher, labels, optimizer)
    other.load_state_dict(copy.deepcopy(loss.state_dict()))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(4):
        assert step(loss, student, teacher, labels, optimizer) == step(other, student, teacher, labels, resumed)


def test_tokens_learn_before_the_student_and_freeze():
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 6, 6)).repeat_interleave(2, 1)
    teacher = 3 * torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float() + torch.randn(2, 3, 12, 6)
    loss = MasKDLoss(3, num_masks=2)
    optimizer = loss.own_optimizer()
    before = loss(teacher, teacher, labels).masks
    for _ in range(100):
        step(loss, teacher, teacher, labels, optimizer)
    assert loss(teacher, teacher, labels).masks < before - 0.2
    loss.freeze()
    student = torch.randn_like(teacher)
    terms = loss(student, teacher)
    assert terms.mimic == maskd(student, teacher, loss.tokens)
    other = MasKDLoss(3, num_masks=2, token_steps=7)
    other.freeze(loss.tokens)
    assert other(student, teacher) == terms
    loaded = MasKDLoss(3, num_masks=2, token_steps=10**6)
    loaded.load_state_dict(other.state_dict())  # frozen tokens are frozen, whatever the number of steps
    assert loaded(student, teacher) == terms


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_is_computed_in_float32_also_under_autocast(dtype):
    student, teacher = ((50 * x).to(dtype) for x in maps(1, 3, 4, 6))
    student.requires_grad_()
    labels = torch.zeros(1, 4, 6).long()
    loss = MasKDLoss(3, token_steps=1)
    loss.freeze(10 * torch.randn(8, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms, value = loss(student, teacher), token_loss(teacher, labels, loss.tokens)
    assert terms.mimic.dtype == terms.masks.dtype == value.dtype == torch.float32
    assert terms.mimic == maskd(student.float(), teacher.float(), loss.frozen)
    assert value == token_loss(teacher.float(), labels, loss.tokens)
    terms.mimic.backward()
    assert student.grad.isfinite().all()


def test_composes_in_a_distiller_and_every_parameter_gets_a_gradient_in_both_stages():
    def network(width):
        return torch.nn.Sequential(torch.nn.Conv2d(3, width, 3, padding=1), torch.nn.Conv2d(width, 5, 1))

    teacher = Teacher(network(8))
    distiller = Distiller(network(4), [Term(MasKDLoss(5, token_steps=1))], teacher=teacher)
    images, labels = torch.rand(2, 3, 16, 16), torch.randint(0, 5, (2, 16, 16))
    for _ in range(2):
        distiller.zero_grad()
        distiller(images, labels, teacher(images)).loss.backward()
        assert all(parameter.grad is not None for parameter in distiller.parameters())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: MasKDLoss(0), "`num_classes` must be an integer of at least 1; got 0."),
        (lambda x: MasKDLoss(5, num_masks=0), "`num_masks` must be an integer of at least 1; got 0."),
        (lambda x: MasKDLoss(5, token_steps=0), "`token_steps` must be an integer of at least 1; got 0."),
        (lambda x: MasKDLoss(5, lr=-1), "`lr` must be a finite number above 0; got -1."),
        (lambda x: MasKDLoss(5)(x, x), "`labels` must be given for the first 200 calls (token_steps); got None."),
        (lambda x: MasKDLoss(5, aux_weight=-1), "`aux_weight` must be a finite number of at least 0; got -1."),
        (lambda x: MasKDLoss(5)(x, x, x[:1, 0].long()), "`labels` must be integers (B, H, W) for 2 images"),
        (lambda x: MasKDLoss(5)(x, x, x[:, 0]), "`labels` must be integers (B, H, W) for 2 images; got torch.float32"),
        (lambda x: MasKDLoss(5).freeze(torch.zeros(8, 4)), "`tokens` must have shape (8, 5); got (8, 4)."),
        (lambda x: maskd(x, x, torch.zeros(8, 4)), "`teacher` must have 4 channels; got 5"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 5, 3, 4))
