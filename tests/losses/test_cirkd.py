import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.losses.contract import (
    Contract,
    KeepsState,
    LowPrecision,
    RefusesWrongMaps,
    SaysWhatItReturns,
    TeachesStudentAlone,
)
from tests.reference.cirkd import mini_batch_by_loops, relations_by_loops

from segdistill.losses import cirkd as module
from segdistill.losses.cirkd import CIRKDLoss, CIRKDTerms, cirkd
from segdistill.losses.common import relations as relations_module
from segdistill.losses.common.relations import relations
from segdistill.ops.unit import unit
from segdistill.types import IGNORE_INDEX

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "cirkd.npz"


def draw(*shape, dtype=torch.float64):
    """Maps of a student (3 channels) and a teacher (4); shape is (B, H, W)."""
    torch.manual_seed(0)
    batch, height, width = shape
    return torch.randn(batch, 3, height, width, dtype=dtype), torch.randn(batch, 4, height, width, dtype=dtype)


def draw_labels(*shape):
    return torch.tensor([0, 2, IGNORE_INDEX])[torch.randint(0, 3, shape)]


def with_memory(**options):
    """A loss that compares with all that it remembers, so that no draw matters."""
    torch.manual_seed(1)
    options = {"pixel_memory": 6, "region_memory": 2, "pixel_keys": 99, "region_keys": 99} | options
    return CIRKDLoss(3, 4, num_classes=3, memory=True, **options)


class TestMiniBatch(Contract):
    fixed = True

    def make(self):
        return CIRKDLoss(3, 4, temperature=0.5)

    def slow(self, loss, student, teacher, labels):
        return mini_batch_by_loops(student, teacher, 0.5)


class TestMemory(LowPrecision, TeachesStudentAlone, RefusesWrongMaps, KeepsState, SaysWhatItReturns):
    fixed = True

    def make(self):
        return with_memory(pixel_keys=9, push_pixels=2)


@pytest.mark.parametrize("chunk", [2**24, 1000, 1])
def test_equals_the_authors_code_in_value_and_gradient(monkeypatch, chunk):
    monkeypatch.setattr(relations_module, "CHUNK", chunk)
    with np.load(GOLDEN) as stored:
        golden = {key: torch.from_numpy(stored[key]) for key in stored.files}
    student = golden["student_features"].requires_grad_()
    value = CIRKDLoss()(student, golden["teacher_features"])
    torch.testing.assert_close(value, golden["mini_batch"], rtol=1e-10, atol=0)
    (gradient,) = torch.autograd.grad(value, student)
    expected = golden["grad.mini_batch"]
    assert (gradient - expected).abs().max() < 1e-10 * expected.abs().max()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 2), (3, 1, 3)])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_equals_the_loops(shape, temperature):
    student, teacher = draw(*shape)
    expected = mini_batch_by_loops(student, teacher, temperature)
    assert cirkd(student, teacher, temperature=temperature).item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_memory_does_not_hold_all_similarities_at_once(monkeypatch):
    monkeypatch.setattr(relations_module, "CHUNK", 100)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.numel()) or x, lambda x: x):
        student, teacher = draw(2, 5, 5)
        cirkd(student.requires_grad_(), teacher)
    assert max(saved) < 50 * 50


def test_is_zero_at_equality_and_blind_to_length_rotation_and_order():
    student, teacher = draw(3, 3, 4)
    assert cirkd(teacher, teacher).item() == 0
    value = cirkd(student, teacher)
    assert value > 0.01
    rotation = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64)).Q
    turned = torch.einsum("dc,bchw->bdhw", 5 * rotation, teacher)
    assert cirkd(turned, teacher).item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(cirkd(student.flip(0), teacher.flip(0)), value)
    torch.testing.assert_close(cirkd(student.mT, teacher.mT), value)


def test_images_are_compared_with_each_other():
    student, teacher = draw(2, 3, 3)
    alone = sum(cirkd(student[i : i + 1], teacher[i : i + 1]) for i in range(2)) / 2
    assert (cirkd(student, teacher) - alone).abs() > 1e-3


def test_large_maps_are_pooled_and_others_where_told(monkeypatch):
    student, teacher = draw(1, 6, 9)
    pooled = [torch.nn.functional.avg_pool2d(x, 3) for x in (student, teacher)]
    assert cirkd(student, teacher, pool_size=3) == cirkd(*pooled)
    assert cirkd(student, teacher, pool_size=1) == cirkd(student, teacher)
    assert cirkd(student, teacher, pool_size=50) == 0  # one cell
    monkeypatch.setattr(module, "relations", lambda student, *_, temperature: len(student))
    assert [cirkd(*torch.rand(2, 1, 3, *size)) for size in ((256, 301), (255, 301))] == [64 * 76, 255 * 301]


def test_dead_features_have_bounded_gradients():
    student, teacher = draw(2, 3, 4, dtype=torch.float32)
    student[0, :, :2] = 0
    cirkd(student.requires_grad_(), teacher).backward()
    assert student.grad.abs().max() < 100


def test_says_which_parts_it_has_and_what_it_reads():
    plain, memory = CIRKDLoss(), with_memory()
    assert (plain.parts, plain.uses_labels, plain.published, plain.equal_buffers) == ((), False, 1.0, ())
    assert (memory.parts, memory.uses_labels) == (("mini_batch", "pixel", "region"), True)
    assert memory.published == {"mini_batch": 1.0, "pixel": 0.1, "region": 0.1}
    assert set(memory.equal_buffers) == {
        "pixels.keys", "pixels.next_slot", "regions.keys", "regions.next_slot"
    }  # fmt: skip
    student, teacher = draw(1, 3, 4, dtype=torch.float32)
    assert plain(student, teacher) == cirkd(student, teacher)
    assert isinstance(memory(student, teacher, draw_labels(1, 3, 4)), CIRKDTerms)
    assert list(plain.parameters()) == list(plain.buffers()) == []


def test_memory_parts_equal_the_loops_over_what_was_remembered_before():
    student, teacher = draw(2, 3, 3)
    loss, labels = with_memory().double(), draw_labels(2, 3, 3)
    for memory in (loss.pixels, loss.regions):
        memory.keys.copy_(unit(memory.keys))  # to all digits of float64
    for _ in range(2):  # the second time with keys of the teacher among them
        pixels, regions = (memory.keys.flatten(0, 1).clone()[None] for memory in (loss.pixels, loss.regions))
        values = loss(student, teacher, labels)
        rows = loss.project(student).permute(0, 2, 3, 1), teacher.permute(0, 2, 3, 1)
        s, t = (x[labels != IGNORE_INDEX] for x in rows)
        assert values.mini_batch == cirkd(student, teacher)
        assert values.pixel.item() == pytest.approx(relations_by_loops(s, t, pixels, pixels, 0.1), rel=1e-10)
        assert values.region.item() == pytest.approx(relations_by_loops(s, t, regions, regions, 0.1), rel=1e-10)


def test_remembers_the_teacher_in_training_only():
    student, teacher = draw(2, 3, 3, dtype=torch.float32)
    loss, labels = with_memory(push_pixels=2), draw_labels(2, 3, 3)
    before = {name: x.clone() for name, x in loss.named_buffers()}
    loss.eval()(student, teacher, labels)
    assert all(x.equal(before[name]) for name, x in loss.named_buffers())
    loss.train()(student, teacher, labels)
    assert loss.pixels.next_slot.tolist() == [4, 0, 4]  # two pixels of each class and image; class 1 is absent
    assert loss.regions.next_slot.tolist() == [0, 0, 0]  # two of two slots
    assert loss.pixels.keys[1].equal(before["pixels.keys"][1])
    assert loss.pixels.keys[:, 4:].equal(before["pixels.keys"][:, 4:])
    mean = unit(teacher.permute(0, 2, 3, 1))[0][labels[0] == 2].mean(0)
    torch.testing.assert_close(loss.regions.keys[2, 0], unit(mean))
    assert not any(x.requires_grad for x in loss.buffers())


def test_ignored_pixels_of_the_teacher_do_not_matter_to_the_memory_parts():
    student, teacher = draw(2, 3, 3, dtype=torch.float32)
    labels = draw_labels(2, 3, 3)
    changed = torch.where((labels == IGNORE_INDEX)[:, None], 7.0, teacher)
    one, other = with_memory(), with_memory()
    for maps in (teacher, changed), (teacher, teacher):
        torch.manual_seed(0)
        first = one(student, maps[0], labels)
        torch.manual_seed(0)
        second = other(student, maps[1], labels)
        assert first[1:] == second[1:]
    assert all(x.equal(y) for x, y in zip(one.buffers(), other.buffers(), strict=True))


def test_nothing_labelled_gives_zeros_with_a_graph_and_leaves_the_memory():
    student, teacher = draw(2, 3, 3, dtype=torch.float32)
    loss = with_memory()
    before = loss.pixels.keys.clone()
    values = loss(student.requires_grad_(), teacher, torch.full((2, 24, 24), IGNORE_INDEX))
    (values.pixel + values.region).backward()
    assert values[1:] == (0, 0)
    assert student.grad.abs().max() == 0
    assert loss.pixels.keys.equal(before)


def test_gradients_reach_student_and_projection_but_not_the_teacher():
    student, teacher = draw(2, 3, 3, dtype=torch.float32)
    loss = with_memory()
    values = loss(student.requires_grad_(), teacher.requires_grad_(), draw_labels(2, 3, 3))
    (values.pixel + values.region).backward()
    assert teacher.grad is None
    assert all(x.grad.abs().max() > 0 for x in (student, *loss.parameters()))


def test_a_resumed_memory_goes_on_exactly():
    student, teacher = draw(2, 3, 3, dtype=torch.float32)
    labels, loss = draw_labels(2, 3, 3), with_memory(pixel_keys=9, push_pixels=2)
    loss(student, teacher, labels)
    resumed = CIRKDLoss(3, 4, num_classes=3, memory=True, pixel_memory=6, region_memory=2, pixel_keys=9, push_pixels=2)
    resumed.load_state_dict(loss.state_dict())
    runs = []
    for one in (loss, resumed):
        torch.manual_seed(3)
        runs.append([one(student, teacher, labels) for _ in range(3)])
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[0][2]


def test_chunks_change_nothing_in_the_memory_parts(monkeypatch):
    student, teacher = draw(2, 3, 3)
    labels, gradients = draw_labels(2, 3, 3), []
    for chunk in (2**24, 40):
        monkeypatch.setattr(relations_module, "CHUNK", chunk)
        values = with_memory().double()(student.requires_grad_(), teacher, labels)
        gradients.append(torch.autograd.grad(sum(values), student)[0])
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-14)


def test_relations_of_no_rows_are_zero():
    rows, keys = torch.zeros(0, 3, requires_grad=True), torch.randn(2, 4, 3)
    relations(rows, rows.detach(), keys, keys, temperature=1.0).backward()
    assert rows.grad.shape == (0, 3)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: CIRKDLoss(temperature=0), "`temperature` must be a finite number above 0; got 0."),
        (lambda x: CIRKDLoss(memory_temperature=-1), "`memory_temperature` must be a finite number above 0; got -1."),
        (lambda x: CIRKDLoss(push_pixels=0), "`push_pixels` must be an integer of at least 1; got 0."),
        (lambda x: CIRKDLoss(pool_size=0), "`pool_size` must be an integer of at least 1; got 0."),
        (lambda x: CIRKDLoss(3, 4, memory=True), "`num_classes` must be given where `memory` is set; got None."),
        (lambda x: CIRKDLoss(3, memory=True), "`teacher_channels` must be given where `memory` is set; got None."),
        (lambda x: with_memory()(x, torch.randn(2, 4, 3, 4)), "`labels` must be given where `memory` is set"),
        (lambda x: cirkd(x, x, pool_size=-1), "`pool_size` must be an integer of at least 1; got -1."),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 3, 3, 4))
