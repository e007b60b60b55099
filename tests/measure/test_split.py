"""A split step must do what a step of the loop does: the same weights come out."""

import copy
from typing import NamedTuple

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from segdistill.distill.distiller import Distiller
from segdistill.distill.term import Term
from segdistill.engine.meter import Meter
from segdistill.engine.optim import make_optimizers
from segdistill.engine.step import Loop, Plan
from segdistill.losses.base import DistillationLoss
from segdistill.measure.split import split_step
from segdistill.networks.teacher import Teacher
from segdistill.types import IGNORE_INDEX, Batch, SegOutput


class Net(nn.Module):
    """Two features, one on top of the other, logits, and auxiliary logits if asked for."""

    def __init__(self, width, aux=False):
        super().__init__()
        self.feature_channels, self.num_classes = {"low": width, "high": width}, 4
        self.low = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.high = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.Dropout(0.1))
        self.head, self.aux = nn.Conv2d(width, 4, 1), nn.Conv2d(width, 4, 1) if aux else None

    def forward(self, image):
        low = self.low(image)
        high = self.high(low)
        aux = None if self.aux is None else self.aux(low)
        return SegOutput(self.head(high), aux, {"low": low, "high": high})


class Verdict(NamedTuple):
    fool: Tensor
    judge: Tensor


class Judge(DistillationLoss):
    """A loss with parameters of its own, which learn apart from the student's."""

    title, layer, parts = "Judge", "low", ("fool", "judge")

    def __init__(self, student_channels, teacher_channels):
        super().__init__()
        self.fit = nn.Conv2d(student_channels, teacher_channels, 1)
        self.critic = nn.Conv2d(teacher_channels, 1, 1, bias=False)

    def own_optimizer(self):
        return torch.optim.SGD(self.critic.parameters(), lr=0.03)

    def forward(self, student, teacher):
        fitted = self.fit(student)
        frozen = copy.deepcopy(self.critic).requires_grad_(False)
        fool = (fitted - teacher).square().mean() - frozen(fitted).mean()
        return Verdict(fool, self.critic(fitted.detach()).mean() - self.critic(teacher).mean())


def make_loop(terms, *, aux=False, **plan):
    torch.manual_seed(0)
    teacher = Teacher(Net(6)) if terms else None
    distiller = Distiller(Net(4, aux=aux), terms(), teacher=teacher) if terms else Distiller(Net(4, aux=aux))
    optimizers = make_optimizers(distiller, name="sgd", lr=0.1, momentum=0.9, weight_decay=1e-3)
    numbers = Plan(iterations=9, seed=3, lr=lambda step: 0.1, batch_size=4, **plan)
    return Loop(distiller, distiller, teacher, optimizers, numbers, Accelerator(cpu=True))


def batches():
    generator = torch.Generator().manual_seed(1)
    while True:
        target = torch.randint(0, 4, (2, 9, 11), generator=generator)
        target[0, : int(torch.randint(1, 9, (), generator=generator))] = IGNORE_INDEX
        yield Batch(torch.randint(0, 256, (2, 3, 9, 11), generator=generator, dtype=torch.uint8), target)


def kd_alone():
    return [Term("kd")]


def many():
    return [
        Term("kd"),
        Term(Judge(4, 6), layer="low", name="judge", weight={"fool": 0.5, "judge": 1.0}),
        Term("af_dcd", layer="high", weight={"mimic": 0.2, "contrast": 0.1},
             options={"groups": 2, "pool_size": 1, "reduction": "mean", "patch_size": (2, 2)}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("terms", "options"),
    [
        (None, {}),
        (None, {"aux": True}),
        (kd_alone, {"freeze_bn": True}),
        (kd_alone, {"precision": torch.bfloat16}),
        (many, {}),
        (many, {"aux": True, "accumulate": 2, "clip": 0.5, "clip_terms": 0.1}),
    ],
)
def test_the_weights_are_those_of_a_step_of_the_loop(terms, options):
    whole, split = make_loop(terms, **options), make_loop(terms, **options)
    before = copy.deepcopy(whole.distiller.state_dict())
    there, here = batches(), batches()
    for step in range(3):
        whole.step(step, 0.1, there, Meter(torch.device("cpu")), None)
        split_step(split, step, 0.1, here, lambda *_: None)
    expected = whole.distiller.state_dict()
    tolerance = {"rtol": 2e-2, "atol": 2e-3} if options.get("precision") else {"rtol": 1e-4, "atol": 1e-6}
    for name, weight in split.distiller.state_dict().items():
        torch.testing.assert_close(weight, expected[name], **tolerance)
    moved = {name for name, weight in expected.items() if not torch.equal(weight, before[name])}
    assert moved >= {name for name, _ in whole.distiller.named_parameters()}
    assert all(parameter.grad is None for parameter in split.distiller.parameters())


def test_every_piece_ends_with_a_lap_in_the_order_of_the_step():
    loop, laps = make_loop(many, accumulate=2), []
    split_step(loop, 0, 0.1, batches(), lambda *lap: laps.append(lap))
    one_pass = [
        ("teacher", "forward"), ("student", "forward"), ("task", "forward"), ("kd", "forward"), ("task", "forward"),
        ("judge", "forward"), ("task", "forward"), ("af_dcd", "forward"), ("task", "forward"),
        ("task", "backward"), ("kd", "backward"), ("judge", "backward"), ("af_dcd", "backward"),
        ("student", "backward"),
    ]  # fmt: skip
    assert laps == [("loading", "forward"), *one_pass, *one_pass, ("optimizer", "forward")]


def test_losses_send_nothing_through_the_student_before_its_turn():
    loop = make_loop(many)
    seen = {}

    def lap(stage, direction):
        if direction == "backward":
            seen[stage] = [p.grad is not None for p in loop.distiller.student.parameters()]

    split_step(loop, 0, 0.1, batches(), lap)
    assert not any(seen["task"] + seen["kd"] + seen["judge"] + seen["af_dcd"])
    assert all(seen["student"])


def test_the_distiller_is_left_as_it_was():
    loop = make_loop(many)
    split_step(loop, 0, 0.1, batches(), lambda *_: None)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in loop.distiller.modules())

    def interrupt(stage, direction):
        if stage == "judge":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        split_step(loop, 1, 0.1, batches(), interrupt)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in loop.distiller.modules())
