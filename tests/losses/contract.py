"""What every loss promises, stated once.

A test file says which promises its loss claims: a class called ``Test...`` that stands on `Contract`, or on some
of the promises, and says how to make a small loss and what the slow version of it returns::

    class TestFitNet(Contract):
        def make(self):
            return FitNetLoss(3, 4)

        def slow(self, loss, student, teacher, labels):
            return fitnet_by_loops(student, teacher, loss.align.weight)

Maps are of 3 and 4 channels unless it says ``channels``. Every call starts from one seed, so that masks are the same.
"""

import copy
import re

import pytest
import torch
from torch.nn.functional import interpolate

from segdistill.types import IGNORE_INDEX

SEED = 5


def check_statement(loss, student, teacher, labels):
    """A loss returns what it says: its parts, scalars, with published weights."""
    student.requires_grad_()
    value = loss(student, teacher, labels) if loss.uses_labels else loss(student, teacher)
    assert loss.title
    assert loss.parts == getattr(value, "_fields", ())
    weights = loss.published
    assert (set(weights) == set(loss.parts)) if loss.parts else isinstance(weights, float)
    assert all(weight > 0 for weight in (weights.values() if loss.parts else [weights]))
    scalars = value if loss.parts else [value]
    assert all(scalar.shape == () and scalar.dtype == student.dtype for scalar in scalars)
    sum(scalars).backward()
    assert student.grad.isfinite().all()
    own = loss.own_optimizer()
    if own is not None:
        held = {id(parameter) for group in own.param_groups for parameter in group["params"]}
        assert held <= {id(parameter) for parameter in loss.parameters()}


class Promise:
    """How a loss is made and called.

    Attributes:
        channels: Of the student's and the teacher's map.
        num_classes: Labels are below it, or ignored.
        untaught: Parameters that need not get a gradient.
    """

    channels = 3, 4
    num_classes = 3
    untaught = ()

    def make(self):
        """A small loss in float32."""
        raise NotImplementedError

    def draw(self, size, *, batch=2, dtype=torch.float64):
        """Student, teacher and labels; a sixth of the pixels or so are ignored, the first of an image never is."""
        torch.manual_seed(SEED)
        student, teacher = (torch.randn(batch, width, *size, dtype=dtype) for width in self.channels)
        labels = torch.randint(0, self.num_classes, (batch, *size))
        labels[torch.rand(labels.shape) < 1 / 6] = IGNORE_INDEX
        labels[:, 0, 0] = 0
        return student, teacher, labels

    def twins(self):
        """The same loss twice, in float64."""
        loss = self.make().double()
        return loss, copy.deepcopy(loss)

    def call(self, loss, student, teacher, labels):
        """All parts, from one seed."""
        torch.manual_seed(SEED)
        value = loss(student, teacher, labels) if loss.uses_labels else loss(student, teacher)
        return tuple(value) if loss.parts else (value,)


class EqualsSlow(Promise):
    """The values are those of the slow version in ``tests/reference``, at any of ``sizes``."""

    sizes = (1, 1), (1, 3), (3, 5)

    def slow(self, loss, student, teacher, labels):
        """One number, or one a part."""
        raise NotImplementedError

    @pytest.mark.parametrize("batch", [1, 2])
    def test_equals_the_slow_version(self, batch):
        for size in self.sizes:
            (loss, twin), maps = self.twins(), self.draw(size, batch=batch)
            expected = self.slow(twin, *maps)
            values = [value.item() for value in self.call(loss, *maps)]
            assert values == pytest.approx(expected if loss.parts else [expected], rel=1e-9, abs=1e-12), size


class Gradcheck(Promise):
    """The gradients of the student's map and of every parameter are those of the values."""

    gradcheck_size = 2, 3

    def test_gradients_are_those_of_the_values(self):
        loss = self.make().double()
        student, teacher, labels = self.draw(self.gradcheck_size)
        names = list(dict(loss.named_parameters()))
        inputs = (teacher, labels) if loss.uses_labels else (teacher,)

        def run(x, *parameters):
            torch.manual_seed(SEED)
            value = torch.func.functional_call(loss, dict(zip(names, parameters, strict=True)), (x, *inputs))
            return tuple(value) if loss.parts else value

        assert torch.autograd.gradcheck(run, (student.requires_grad_(), *loss.parameters()))


class AnySize(Promise):
    """Maps of any size work, single images, any layout, and a student's map of another size than the teacher's."""

    odd_sizes = (1, 1), (1, 3), (5, 7)

    def test_any_size_and_a_single_image_work(self):
        for size in self.odd_sizes:
            loss = self.make()
            student, teacher, labels = self.draw(size, batch=1, dtype=torch.float32)
            values = self.call(loss, student.requires_grad_(), teacher, labels)
            sum(values).backward()
            assert all(value.isfinite() for value in values), size
            assert all(x.grad is None or x.grad.isfinite().all() for x in (student, *loss.parameters())), size

    def test_a_student_map_of_another_size_is_resized_bilinearly(self):
        student, teacher, labels = self.draw((6, 9))
        small = student[:, :, :3, :4]
        resized = interpolate(small, size=(6, 9), mode="bilinear", align_corners=False)
        losses = self.twins()
        values = [self.call(loss, x, teacher, labels) for loss, x in zip(losses, (small, resized), strict=True)]
        torch.testing.assert_close(*values)

    def test_the_layout_of_the_maps_does_not_matter(self):
        student, teacher, labels = self.draw((4, 6))
        losses = self.twins()
        turned = student.to(memory_format=torch.channels_last), torch.stack([teacher] * 2, dim=-1)[..., 0]
        values = [self.call(losses[0], student, teacher, labels), self.call(losses[1], *turned, labels)]
        torch.testing.assert_close(*values)


class LowPrecision(Promise):
    """Half precision is computed in float32, under autocast too: the value is that of the same maps in float32.

    Attributes:
        scale: Of the maps.
        overflows: Whether the value is then beyond what float16 holds.
        parameter_types: That the loss may have.
        exact: Options of ``make`` without which it is computed in the precision of autocast.
    """

    scale = 300.0
    overflows = False
    parameter_types = (torch.float32,)
    exact = {}  # noqa: RUF012

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_low_precision_is_computed_in_float32_also_under_autocast(self, dtype):
        for parameters in self.parameter_types:
            loss = self.make(**self.exact).to(parameters)
            other = copy.deepcopy(loss)
            student, teacher, labels = self.draw((3, 5), dtype=torch.float32)
            student, teacher = (self.scale * student).to(dtype).requires_grad_(), (self.scale * teacher).to(dtype)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                values = self.call(loss, student, teacher, labels)
            assert all(value.dtype == torch.float32 for value in values)
            expected = self.call(other, student.float(), teacher.float(), labels)
            torch.testing.assert_close(values, expected, rtol=0, atol=0)
            assert not self.overflows or values[0] > 65504
            (1e-6 * sum(values)).backward()
            assert student.grad.isfinite().all()
            taught = [x for x in loss.parameters() if x.grad is not None]
            assert all(x.grad.isfinite().all() and x.grad.dtype == parameters for x in taught)


class TeachesStudentAlone(Promise):
    """The teacher gets no gradient; the student and the parameters of the loss do."""

    def test_gradients_reach_the_student_and_the_parameters_but_not_the_teacher(self):
        loss = self.make()
        student, teacher, labels = self.draw((5, 6), dtype=torch.float32)
        sum(self.call(loss, student.requires_grad_(), teacher.requires_grad_(), labels)).backward()
        assert teacher.grad is None
        assert student.grad.abs().max() > 0
        taught = {name: x for name, x in loss.named_parameters() if name not in self.untaught}
        assert [name for name, x in taught.items() if x.grad is None or x.grad.abs().max() == 0] == []


class RefusesWrongMaps(Promise):
    """What is no map, maps of other batches or widths, and labels that do not fit end as one sentence.

    Attributes:
        fixed: Whether the loss is made for one width of the student's and one of the teacher's map.
    """

    fixed = False

    def refused(self, maps, sentence):
        with pytest.raises(ValueError, match=sentence):
            self.call(self.make(), *maps)

    def test_wrong_maps_are_refused_in_one_sentence(self):
        student, teacher, labels = self.draw((4, 6), dtype=torch.float32)
        no_map = r"`{}(_features)?` must be a floating-point map \(B, C, H, W\); got"
        self.refused((student, teacher[:1], labels), "got batches of 2 and 1")
        self.refused((student[0], teacher, labels), no_map.format("student"))
        self.refused((student, teacher.long(), labels), no_map.format("teacher"))
        if self.fixed:
            for role in (0, 1):
                maps, widths = [student, teacher], list(self.channels)
                maps[role] = torch.cat([maps[role], maps[role][:, :1]], dim=1)
                wrong = f"must have {widths[role]} channels; got {widths[role] + 1}"
                self.refused((*maps, labels), wrong)

    def test_wrong_labels_are_refused_in_one_sentence(self):
        if not self.make().uses_labels:
            return
        student, teacher, labels = self.draw((4, 6), dtype=torch.float32)
        sentence = re.escape("`labels` must be integers (B, H, W) for 2 images; got ")
        self.refused((student, teacher, labels[:1]), sentence)
        self.refused((student, teacher, labels.float()), sentence + "torch.float32")


class KeepsState(Promise):
    """What it has learnt and counted survives a round trip through ``state_dict``: it goes on exactly."""

    def test_a_restored_loss_goes_on_exactly(self):
        student, teacher, labels = self.draw((4, 6), dtype=torch.float32)
        loss, restored = self.make(), self.make()
        for parameter in restored.parameters():
            torch.nn.init.normal_(parameter)
        for _ in range(2):
            self.call(loss, student, teacher, labels)
        restored.load_state_dict(copy.deepcopy(loss.state_dict()))
        for _ in range(3):
            assert self.call(loss, student, teacher, labels) == self.call(restored, student, teacher, labels)


class SaysWhatItReturns(Promise):
    """Title, parts and weights fit what is returned."""

    def test_says_what_it_returns(self):
        check_statement(self.make().double(), *self.draw((4, 6)))


class Contract(
    EqualsSlow, Gradcheck, AnySize, LowPrecision, TeachesStudentAlone, RefusesWrongMaps, KeepsState, SaysWhatItReturns
):
    """All that every loss promises."""


class IgnoresPixels(Promise):
    """Pixels of ``IGNORE_INDEX`` change neither value nor gradient; where all are ignored, both are zero."""

    def test_ignored_pixels_change_neither_value_nor_gradient(self):
        student, teacher, labels = self.draw((4, 6))
        ignored = (labels == IGNORE_INDEX)[:, None]
        assert ignored.any()
        found = []
        for noise, loss in zip((0.0, 7.0), self.twins(), strict=True):
            maps = [torch.where(ignored, x + noise * torch.randn_like(x), x) for x in (student, teacher)]
            values = self.call(loss, maps[0].requires_grad_(), maps[1], labels)
            (gradient,) = torch.autograd.grad(sum(values), maps[0])
            assert gradient[ignored.expand_as(gradient)].abs().max() == 0
            found.append((values, gradient))
        torch.testing.assert_close(*found, rtol=1e-12, atol=0)

    def test_nothing_labelled_gives_a_zero_with_a_graph(self):
        student, teacher, labels = self.draw((4, 6), dtype=torch.float32)
        loss = self.make()
        nothing = torch.full_like(labels, IGNORE_INDEX)
        values = self.call(loss, student.requires_grad_(), teacher, nothing)
        sum(values).backward()
        assert all(value == 0 for value in values)
        assert student.grad.abs().max() == 0


class SeveralMaps(Promise):
    """A list of one map is that map; of student and teacher there are as many, at least one."""

    def test_a_list_of_one_map_is_that_map(self):
        student, teacher, labels = self.draw((4, 6))
        losses = self.twins()
        assert self.call(losses[0], student, teacher, labels) == self.call(losses[1], [student], (teacher,), labels)

    def test_other_numbers_of_maps_are_refused_in_one_sentence(self):
        student, teacher, labels = self.draw((4, 6), dtype=torch.float32)
        for maps, got in ((([student] * 2, [teacher]), "2 and 1"), (([], []), "0 and 0")):
            with pytest.raises(ValueError, match=rf"must be as many maps, at least one; got {got}\."):
                self.call(self.make(), *maps, labels)


class WeighsPixels(Promise):
    """Weights of 1 change nothing, of 0 leave a pixel out; where all are 0, so are value and gradient."""

    def weighed(self, loss, student, teacher, labels, weight):
        assert loss.weighs_pixels
        return loss(student, teacher, *([labels] if loss.uses_labels else []), weight=weight)

    def test_weights_of_one_are_none(self):
        maps = self.draw((3, 4))
        loss, twin = self.twins()
        ones = torch.ones(2, 3, 4, dtype=torch.float64)
        torch.testing.assert_close(self.weighed(loss, *maps, ones), self.call(twin, *maps)[0])

    def test_pixels_without_a_weight_are_as_if_they_were_not_there(self):
        student, teacher, labels = self.draw((4, 6))
        loss, twin = self.twins()
        weight = torch.ones(2, 4, 6, dtype=torch.float64)
        weight[:, :, 4:] = 0
        value = self.weighed(loss, student.requires_grad_(), teacher, labels, weight)
        (gradient,) = torch.autograd.grad(value, student)
        assert gradient[..., 4:].abs().max() == 0
        rest = (x[..., :4] for x in (student.detach(), teacher, labels))
        torch.testing.assert_close(value.detach(), self.call(twin, *rest)[0])

    def test_a_pixel_of_weight_two_thirds_counts_as_two_of_three_copies(self):
        student, teacher, labels = self.draw((1, 3))
        weight = torch.tensor([[[2 / 3, 1 / 3, 1.0]]], dtype=torch.float64).expand(2, 1, 3)
        order = [0, 0, 1, 2, 2, 2]
        copies = (x[..., order] for x in (student, teacher, labels))
        loss, twin = self.twins()
        value = self.weighed(loss, student, teacher, labels, weight)
        torch.testing.assert_close(value, self.call(twin, *copies)[0], rtol=1e-6, atol=1e-9)

    def test_weights_of_another_size_are_resized_and_zero_weights_give_zero(self):
        student, teacher, labels = self.draw((4, 6), dtype=torch.float32)
        loss = self.make()
        assert self.weighed(loss, student, teacher, labels, torch.rand(2, 8, 12)).isfinite()
        value = self.weighed(loss, student.requires_grad_(), teacher, labels, torch.zeros(2, 4, 6))
        value.backward()
        assert value == 0
        assert student.grad.abs().max() == 0
        with pytest.raises(ValueError, match="`weight` must be floating-point numbers"):
            self.weighed(loss, student, teacher, labels, torch.zeros(2, 4, 6, dtype=torch.int64))
