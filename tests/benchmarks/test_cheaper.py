"""Other ways to make Af-DCD cheap: each is what it says, is measured and trained."""

import json

import pytest
import torch
from benchmarks.cheaper import STEPS, WAYS, cost, train
from tests.conftest import UNASKED
from torch import Tensor

from segdistill.losses import LOSSES, METHODS, AfDCDLoss

MAPS = {"student_channels": 4, "channels": 16, "height": 16, "width": 32, "batch": 2}


@pytest.fixture
def maps() -> tuple[Tensor, Tensor, Tensor]:
    """Student's, teacher's, and which positions stay visible."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(2, channels, 8, 8, generator=generator) for channels in (4, 16))
    return student.requires_grad_(), teacher, (torch.rand(2, 1, 8, 8, generator=generator) > 0.75).float()


def _loss(way: type[AfDCDLoss]) -> AfDCDLoss:
    torch.manual_seed(0)
    return way(4, 16, groups=4, pool_size=1, reduction="mean")


@pytest.mark.parametrize("name", ["separable", "bottleneck", "projected"])
def test_light_ways_teach_with_fewer_weights(name, maps):
    student, teacher, keep = maps
    loss = _loss(WAYS[name])
    sum(loss(student, teacher, keep=keep)).backward()
    assert student.grad is not None
    assert student.grad.abs().sum() > 0
    assert all(p.grad is not None for p in loss.parameters())
    count = sum(p.numel() for p in loss.parameters())
    assert count < sum(p.numel() for p in _loss(AfDCDLoss).parameters()) / 3


def test_only_hidden_positions_are_mimicked(maps):
    student, teacher, keep = maps
    loss, whole = _loss(WAYS["hidden"]), _loss(AfDCDLoss)
    generated, _ = whole.regenerate(student, teacher, keep)
    hidden = (keep == 0).expand_as(teacher)
    found = loss(student, teacher, keep=keep)
    torch.testing.assert_close(found.mimic, (generated - teacher)[hidden].square().mean())
    torch.testing.assert_close(found.contrast, whole(student, teacher, keep=keep).contrast)


def test_second_step_counts_every_other_call_twice(maps):
    student, teacher, keep = maps
    loss, whole = _loss(WAYS["second_step"]), _loss(AfDCDLoss)
    expected = whole(student, teacher, keep=keep)
    for factor in (2, 0, 2, 0):
        found = loss(student, teacher, keep=keep)
        torch.testing.assert_close(found.mimic, factor * expected.mimic)
        torch.testing.assert_close(found.contrast, factor * expected.contrast)


def test_last_half_begins_in_the_middle_and_is_resumed(maps):
    student, teacher, keep = maps
    loss = _loss(WAYS["last_half"])
    loss.calls += STEPS // 2 - 1
    assert loss(student, teacher, keep=keep).mimic == 0
    resumed = _loss(WAYS["last_half"])
    resumed.load_state_dict(loss.state_dict())
    assert resumed(student, teacher, keep=keep).mimic > 0


def test_cost_measures_every_way_whose_step_differs():
    found = cost(1, MAPS)
    assert set(found["ways"]) == {"af_dcd", "separable", "bottleneck", "projected", "hidden"}
    assert all(way["both"]["median"] > 0 for way in found["ways"].values())


def test_students_are_trained_by_every_way_with_the_recipe_s_settings(save_network, tmp_path):
    before = set(LOSSES), set(METHODS)
    changes = [f"teacher.weights={save_network()}", UNASKED, "data.num_workers=0"]
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        "base: demo\n"
        "data: {batch_size: 2}\n"
        "train: {iterations: 2, val_every: 2}\n"
        "terms:\n  kd: {}\n  af_dcd: {weight: {mimic: 0.5, contrast: 0.02}, reduction: mean, groups: 4, pool_size: 1}\n"
    )
    try:
        train(str(recipe), changes, ["projected", "last_half"], 1, tmp_path / "out")
    finally:
        for table, names in zip((LOSSES, METHODS), before, strict=True):
            for name in set(table) - names:
                del table[name]
    for name in ("none", "af_dcd_projected", "af_dcd_last_half"):
        assert (tmp_path / "out" / name / "0" / "result.json").is_file()
    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert "af_dcd_projected" in json.dumps(record)
    assert "mimic: 0.5" in (tmp_path / "out/af_dcd_projected/0/recipe.yaml").read_text()
