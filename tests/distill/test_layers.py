"""What the losses get: one map or lists of maps, of the layers that the term names."""

import pytest
import torch
from torch import nn

from segdistill import Distiller, Teacher, Term
from segdistill.losses import ATLoss, DISTLoss, DSDLoss, FitNetLoss, dist, maskd
from segdistill.losses.base import DistillationLoss
from segdistill.types import SegOutput
from segdistill.util import ArgumentError


class Net(nn.Module):
    """Two features, logits and auxiliary logits."""

    def __init__(self, low, high, *, stride=1, aux=True):
        super().__init__()
        self.low = nn.Conv2d(3, low, 3, stride, 1)
        self.high = nn.Conv2d(low, high, 3, 1, 1)
        self.head, self.aux = nn.Conv2d(high, 5, 1), nn.Conv2d(low, 5, 1) if aux else None

    def forward(self, image):
        low = self.low(image)
        high = self.high(low)
        return SegOutput(self.head(high), None if self.aux is None else self.aux(low), {"low": low, "high": high})


STUDENT = {"a": "low", "b": "high"}
TEACHER = {"a": "low", "b": "high", "c": "high"}


def pair(**student):
    torch.manual_seed(0)
    return Net(4, 6, **student), Teacher(Net(8, 10, stride=2), features=TEACHER)


def outputs(term, **student):
    """A step with one term; its distiller, and the student's and the teacher's outputs."""
    network, teacher = pair(**student)
    distiller = Distiller(network, [term], features=STUDENT, teacher=teacher)
    images = torch.rand(2, 3, 12, 16)
    answer = teacher(images)
    step = distiller(images, torch.randint(0, 5, (2, 12, 16)), answer)
    return distiller, step, step.student, answer


class Spy(DistillationLoss):
    several = True

    def forward(self, student, teacher):
        self.seen = student, teacher
        maps = [student] if isinstance(student, torch.Tensor) else student
        return sum(x.mean() for x in maps)


def test_one_layer_is_a_tensor_and_several_are_lists():
    for layer in ("b", ["b"], ("b", "c"), [("b", "c")]):
        distiller, _, student, teacher = outputs(Term(Spy(), layer=layer, name="spy"))
        ours, theirs = distiller.losses["spy"].seen
        assert ours is student.features["b"]
        assert torch.equal(theirs, teacher.features["b"])
    distiller, _, student, teacher = outputs(Term(Spy(), layer=["a", ("b", "c"), "logits", "aux_logits"], name="spy"))
    ours, theirs = distiller.losses["spy"].seen
    expected = [student.features["a"], student.features["b"], student.logits, student.aux_logits]
    assert all(x is y for x, y in zip(ours, expected, strict=True))
    expected = [teacher.features["a"], teacher.features["c"], teacher.logits, teacher.aux_logits]
    assert all(torch.equal(x, y) for x, y in zip(theirs, expected, strict=True))
    assert not any(x.requires_grad for x in theirs)


@pytest.mark.parametrize("layer", [["a", "b"], [("a", "a"), ("b", "c")]])
def test_fitnet_and_at_add_up_over_layers(layer):
    distiller, step, student, teacher = outputs(Term("fitnet", layer=layer))
    loss = distiller.losses["fitnet"]
    assert [tuple(x.shape) for x in loss.parameters()] == [(8, 4, 1, 1), (10, 6, 1, 1)]
    expected = 0.0
    for align, name in zip(loss.align, ("a", "b"), strict=True):
        alone = FitNetLoss(align.in_channels, align.out_channels)
        alone.load_state_dict({"align.weight": align.weight})
        expected = expected + alone(student.features[name], teacher.features[name])
    torch.testing.assert_close(step.parts["fitnet"], expected)
    _, step, student, teacher = outputs(Term("at", layer=layer))
    expected = sum(ATLoss()(student.features[name], teacher.features[name]) for name in ("a", "b"))
    torch.testing.assert_close(step.parts["at"], expected)


def test_dsd_reads_pairs_of_layers():
    _, step, student, teacher = outputs(Term("dsd", layer=["a", ("b", "c"), "logits"]))
    maps = [[x.features["a"], x.features["b"], x.logits] for x in (student, teacher)]
    expected = DSDLoss()(*maps)
    torch.testing.assert_close(step.parts["dsd.attention"], expected.attention)
    torch.testing.assert_close(step.parts["dsd.category"], expected.category)


def test_dist_and_maskd_add_auxiliary_logits_at_four_tenths():
    layer = ["logits", "aux_logits"]
    _, step, student, teacher = outputs(Term("dist", layer=layer))
    expected = DISTLoss()(student.logits, teacher.logits) + 0.4 * DISTLoss()(student.aux_logits, teacher.aux_logits)
    torch.testing.assert_close(step.parts["dist"], expected)
    assert dist.dist(student.logits, teacher.logits) < expected

    distiller, step, student, teacher = outputs(Term("maskd", layer=layer))
    assert step.parts["maskd.mimic"] == 0
    step.loss.backward()
    assert all(x.grad is not None for x in distiller.parameters())
    loss = distiller.losses["maskd"]
    loss.freeze(torch.randn(8, 5))
    value = loss([student.logits, student.aux_logits], [teacher.logits, teacher.aux_logits]).mimic
    parts = [
        maskd.maskd(s, t, loss.frozen)
        for s, t in ((student.logits, teacher.logits), (student.aux_logits, teacher.aux_logits))
    ]
    torch.testing.assert_close(value, parts[0] + 0.4 * parts[1])


def test_a_missing_auxiliary_head_is_a_sentence():
    with pytest.raises(ArgumentError, match="reads the auxiliary logits of the student, which has no auxiliary head"):
        outputs(Term("dist", layer=["logits", "aux_logits"]), aux=False)


def test_the_maps_of_a_users_own_module_are_brought_to_one_size():
    class Squared(nn.Module):
        def forward(self, student, teacher):
            return (student - teacher).square().mean()

    distiller = Distiller(nn.Conv2d(3, 5, 1), [Term(Squared())], teacher=Teacher(nn.Conv2d(3, 5, 4, 4)))
    images = torch.rand(1, 3, 192, 192)
    step = distiller(images, None, SegOutput(torch.zeros(1, 5, 48, 48)))
    small = nn.functional.interpolate(step.student.logits, size=(48, 48), mode="bilinear", align_corners=False)
    torch.testing.assert_close(step.parts["Squared"], small.square().mean())


def test_a_loss_returns_as_many_scalars_as_it_says():
    class Halves(DistillationLoss):
        parts = ("near", "far")

        def forward(self, student, teacher):
            return student.mean()

    with pytest.raises(ArgumentError, match="a scalar for each of its parts, near, far; got Tensor"):
        outputs(Term(Halves(), name="halves"))


def test_a_layer_that_the_teacher_lacks_is_named_at_construction():
    network, teacher = pair()
    with pytest.raises(ArgumentError, match="'logits', 'aux_logits' or a feature of the teacher; got 'd'"):
        Distiller(network, [Term("at", layer=["a", ("b", "d")])], features=STUDENT, teacher=teacher)


def test_a_pair_that_is_taken_for_two_layers_is_explained():
    student = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1))
    teacher = Teacher(nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 5, 1)), features={"wide": "0"})
    with pytest.raises(ValueError, match=r"a pair of student and teacher is \[\[deep, wide\]\]"):
        Distiller(student, [Term("fitnet", layer=["deep", "wide"])], features={"deep": "0"}, teacher=teacher)
    pair = Term("fitnet", layer=[["deep", "wide"]])
    assert Distiller(student, [pair], features={"deep": "0"}, teacher=teacher).weights["fitnet"] == 10
