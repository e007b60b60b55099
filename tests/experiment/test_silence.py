"""A term that teaches nothing is a fault; what a recipe leaves open follows the map."""

import logging

import pytest
import torch
from tests.conftest import UNASKED
from torch import nn

import segdistill as sd
from segdistill.distill import Distiller, Term
from segdistill.experiment.silence import silent_notes, silent_terms
from segdistill.losses import LOSSES, DistillationLoss
from segdistill.networks import Teacher
from segdistill.types import SegOutput
from segdistill.util import RecipeError

CROP = (64, 64)
TINY = ["data.options={num_images: 2, num_train: 2, size: [64, 64]}", "data.crop_size=[64,64]", "data.batch_size=2",
        "train.iterations=2", "train.log_every=1", "train.val_every=2", "train.device=cpu",
        "train.gallery=0"]  # fmt: skip


def network(width, stride=16):
    return nn.Sequential(nn.Conv2d(3, width, 3, stride=stride, padding=1), nn.ReLU(), nn.Conv2d(width, 9, 1))


def found_by(*terms):
    teacher = Teacher(network(32, 4), features={"deep": "1"})
    distiller = Distiller(network(16, 4), terms, features={"deep": "1"}, teacher=teacher).eval()
    image = torch.rand(1, 3, *CROP)
    return silent_terms(distiller, distiller.network(image), {"teacher": teacher(image)}, CROP, 2)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_no_loss_is_silent_at_a_usual_size_nor_said_to_be_by_design(name):
    layer = "logits" if LOSSES[name].layer == "logits" else "deep"
    options = {"pool_size": 1} if name == "af_dcd" else {}
    assert found_by(Term(name, layer=layer, options=options)) == []


def test_the_dead_contrast_is_found_with_its_remedy():
    term = Term("af_dcd", layer="deep", options={"pool_size": 8})
    (finding,) = found_by(term)
    assert finding.fatal
    assert str(finding) == (
        "Af-DCD's contrast is switched off in this run: its map is 2x2 and one patch needs 4x4. "
        "Set `terms.af_dcd.pool_size=1` or enlarge `data.crop_size`."
    )


def test_a_part_without_weight_is_meant():
    term = Term("af_dcd", layer="deep", options={"pool_size": 8}, weight={"mimic": 1.0, "contrast": 0.0})
    assert found_by(term) == []


class Detached(DistillationLoss):
    """Has a value and no gradient."""

    def forward(self, student, teacher):
        return (student.detach() - teacher).square().mean()


def test_a_term_without_gradient_is_found():
    (finding,) = found_by(Term(Detached(), name="mine"))
    assert "The term mine is switched off in this run" in finding.text
    assert "`terms.mine.weight` 0" in finding.remedy


def test_the_global_random_state_stays():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    teacher = Teacher(network(8, 4))
    distiller = Distiller(network(8, 4), ["kd"], teacher=teacher)
    state = SegOutput(torch.rand(1, 9, 4, 4))
    torch.random.set_rng_state(before)
    assert silent_terms(distiller, state, {"teacher": state}, CROP, 1) == []
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_was_0_all_along_is_noted(tmp_path):
    teacher = Teacher(network(8, 4))
    distiller = Distiller(network(8, 4), ["kd", "maskd"], teacher=teacher)
    metrics = tmp_path / "metrics.jsonl"
    assert silent_notes(distiller, metrics) == []
    metrics.write_text(
        '{"step": 1, "parts": {"task": 1.0, "kd": 0.0, "maskd.mimic": 0.0}}\n{"step": 2, "val": {"miou": 0.5}}\n'
    )
    assert silent_notes(distiller, metrics) == ["kd was 0 in every logged step: it taught the student nothing."]


def recipe(*terms):
    return ["terms.af_dcd={layer: layer4, loss: af_dcd}", UNASKED, *TINY, *terms]


def teacher():
    return Teacher(network(16), features={"layer4": "1"})


def test_open_options_are_settled_said_and_recorded(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "segdistill"):
        trained = sd.train("demo_student", teacher=teacher(), overrides=recipe(), out=tmp_path / "run")
    note = (
        "Af-DCD reads maps of 4x4, so `auto` took pool_size=1, patch_size=[2, 2]; published is pool_size=4, "
        "patch_size=[4, 4]."
    )
    assert trained.result["notes"] == [note]
    assert trained.result["terms"]["af_dcd"]["settings"]["pool_size"] == 1
    assert trained.result["terms"]["af_dcd"]["settings"]["patch_size"] == [2, 2]
    assert [r.getMessage() for r in caplog.records].count(f"terms.af_dcd: {note}") == 1


def test_what_is_said_is_kept_and_refused_before_training(tmp_path):
    said = recipe("terms.af_dcd.pool_size=4", "terms.af_dcd.patch_size=[4,4]")
    checkup = sd.check("demo_student", teacher=teacher(), overrides=said)
    assert len(checkup.problems) == 1
    assert "its map is 1x1 and one patch needs 4x4" in checkup.problems[0]
    assert checkup.shapes
    with pytest.raises(RecipeError, match="switched off in this run"):
        sd.train("demo_student", teacher=teacher(), overrides=said, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
