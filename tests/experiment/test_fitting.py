"""A run fits the directions of its terms before the first step, keeps them, and says what they hold."""

import logging

import pytest
import torch
from tests.conftest import UNASKED

import segdistill as sd
from segdistill import store
from segdistill.engine import checkpoint
from segdistill.experiment.fitting import NUM_FITTED
from segdistill.experiment.training import run_recipe
from segdistill.recipe.load import load_recipe

torch.set_num_threads(1)

TINY = ["data.options={num_images: 6, num_train: 6, size: [32, 48]}", "data.crop_size=[32,48]", "data.batch_size=2",
        "model.name=deeplabv3_mobilenetv2_035", "model.options={}", "model.options.output_stride=16",
        "train.log_every=1", "train.val_every=2", "train.gallery=0", "train.device=cpu"]  # fmt: skip
NARROW = [UNASKED, "terms={}", "terms={kd: {}, af_dcd: {width: 32, groups: 8, pool_size: 1, patch_size: [1, 2], "
          "reduction: mean, weight: {mimic: 1, contrast: 0.1}}}"]  # fmt: skip
MATRIX = "losses.af_dcd.directions.matrix"


@pytest.fixture(scope="module")
def narrow(save_network):
    return [*TINY, *NARROW, f"teacher.weights={save_network()}", "train.iterations=4"]


def test_the_directions_are_fitted_kept_and_told(narrow, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    result = run_recipe(load_recipe("demo", narrow), tmp_path / "run")
    (note,) = [note for note in result["notes"] if "directions" in note]
    assert note.startswith("af_dcd compares 32 of 112 directions (pca), which keep ")
    assert note.endswith(" % of the energy of the teacher's layer4.")
    assert note in (tmp_path / "run" / store.EVENTS).read_text()
    share = float(note.partition("keep ")[2].partition(" %")[0])
    assert 32 / 112 < share / 100 <= 1
    matrix = checkpoint.load(tmp_path / "run" / store.LAST).model[MATRIX]
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(32), rtol=0, atol=1e-5)


def test_a_resumed_run_keeps_its_directions_and_ends_as_if_it_had_not_been_stopped(narrow, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    recipe = load_recipe("demo", narrow)
    run_recipe(recipe, whole)

    def stop(record):
        if record["step"] == 2 and "val" in record:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, parts, on_log=stop)
    run_recipe(recipe, parts, resume=True)
    for name in (store.STUDENT, store.METRICS):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()
    one, two = (checkpoint.load(folder / store.LAST).model for folder in (whole, parts))
    assert torch.equal(one[MATRIX], two[MATRIX])


def test_another_seed_draws_other_directions(narrow, tmp_path):
    drawn = [*narrow, "terms.af_dcd.basis=random", "train.iterations=1"]
    matrices = []
    for seed in (0, 0, 1):
        folder = tmp_path / f"{len(matrices)}"
        run_recipe(load_recipe("demo", [*drawn, f"seed={seed}"]), folder)
        matrices.append(checkpoint.load(folder / store.LAST).model[MATRIX])
    assert torch.equal(matrices[0], matrices[1])
    assert not torch.equal(matrices[0], matrices[2])


def test_check_and_profile_know_such_terms(narrow):
    assert sd.check(load_recipe("demo", narrow)).problems == []
    stages = {stage.name for stage in sd.profile(load_recipe("demo", narrow), steps=1).stages}
    assert {"teacher", "af_dcd"} <= stages
    problems = sd.check(load_recipe("demo", [*narrow, "terms.af_dcd.width=112"])).problems
    assert "`terms.af_dcd.width` must be below the teacher's 112 channels; got 112." in problems[0]


def test_a_few_hundred_images_are_enough():
    assert 200 <= NUM_FITTED <= 500
