import re

import pytest
import torch
from tests.losses.contract import Contract
from tests.reference.acam import acam_by_loops

from segdistill.losses.acam import ACAMLoss
from segdistill.losses.common.dice import dice_overlap

torch.set_num_threads(1)


class TestACAM(Contract):
    fixed = True
    untaught = ("key.bias",)  # it moves all similarities of a query alike, which a softmax does not see

    def make(self):
        return ACAMLoss(3, 4, num_masks=5)

    def slow(self, loss, student, teacher, labels):
        return acam_by_loops(student.flatten(2), teacher.flatten(2), loss.state_dict())


def draw(*shape, channels=4, dtype=torch.float64):
    """A loss, and maps of a student of 3 channels and a teacher; shape is (B, H, W)."""
    torch.manual_seed(0)
    batch, height, width = shape
    loss = ACAMLoss(3, channels, num_masks=5).to(dtype)
    return loss, torch.randn(batch, 3, height, width, dtype=dtype), torch.randn(batch, channels, *shape[1:]).to(dtype)


@pytest.mark.parametrize(("shape", "channels"), [((1, 1, 1), 1), ((2, 2, 3), 5), ((1, 3, 3), 4)])
def test_equals_the_loops(shape, channels):
    loss, student, teacher = draw(*shape, channels=channels)
    expected = acam_by_loops(student.flatten(2), teacher.flatten(2), loss.state_dict())
    assert [value.item() for value in loss(student, teacher)] == pytest.approx(expected, rel=1e-10)


def test_errors_vanish_where_the_aligned_student_is_the_teacher():
    loss, student, _ = draw(2, 3, 4)
    values = loss(student, loss.align(student))
    assert values.spatial.item() == values.channel.item() == 0
    assert values.diversity.item() > 0


def test_flat_masks_give_the_mean_squared_error_and_full_overlap():
    loss, student, teacher = draw(2, 3, 4)
    torch.nn.init.zeros_(loss.spatial)
    torch.nn.init.zeros_(loss.channel)
    values = loss(student, teacher)
    expected = torch.nn.functional.mse_loss(loss.align(student), teacher)
    torch.testing.assert_close(values.spatial, expected)
    torch.testing.assert_close(values.channel, expected)
    torch.testing.assert_close(values.diversity, torch.full_like(expected, 2.0))


def test_a_mask_looks_where_it_is_large():
    loss, student, teacher = draw(1, 1, 4)
    value = loss(student, teacher).channel
    with torch.no_grad():
        loss.value.weight.zero_()
        loss.value.bias.fill_(1.0)  # the fused map is one everywhere
        loss.channel.fill_(-50.0)
        loss.channel[:, 2] = 50.0
    error = (loss.align(student) - teacher).square().mean((0, 2, 3))
    torch.testing.assert_close(loss(student, teacher).channel, error[2])
    assert value != error[2]


def test_queries_and_keys_have_half_the_width():
    loss = ACAMLoss(3, 9, num_masks=2)
    assert {name: len(loss.get_submodule(name).weight) for name in ("query", "key", "value", "align")} == {
        "query": 4, "key": 4, "value": 9, "align": 9
    }  # fmt: skip


def test_images_do_not_mix_and_the_order_of_positions_does_not_matter():
    loss, student, teacher = draw(2, 3, 4)
    values = loss(student, teacher)
    alone = [loss(student[i : i + 1], teacher[i : i + 1]) for i in range(2)]
    for value, first, second in zip(values, *alone, strict=True):
        torch.testing.assert_close(value, (first + second) / 2)
    torch.testing.assert_close(loss(student.mT, teacher.mT), values)


def test_overlap_is_one_for_equal_masks_and_zero_for_disjoint_or_single_ones():
    masks = torch.rand(2, 1, 6)
    assert dice_overlap(masks.expand(2, 3, 6)).item() == pytest.approx(1)
    assert dice_overlap(torch.eye(4)[None]).item() == 0
    assert dice_overlap(masks).item() == 0
    assert dice_overlap(torch.zeros(1, 3, 4)).item() == 0


def test_training_lowers_the_errors_and_the_overlap():
    loss, student, teacher = draw(1, 4, 4, dtype=torch.float32)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.2)
    before = loss(student, teacher)
    for _ in range(50):
        optimizer.zero_grad()
        sum(loss(student, teacher)).backward()
        optimizer.step()
    assert all(now < then for now, then in zip(loss(student, teacher), before, strict=True))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x: ACAMLoss(0, 4), "`student_channels` must be an integer of at least 1; got 0."),
        (lambda x: ACAMLoss(4, 4, num_masks=0), "`num_masks` must be an integer of at least 1; got 0."),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(torch.randn(2, 5, 3, 4))
