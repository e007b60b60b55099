"""The slowest part of a step, and the one option that would help."""

import pytest

from segdistill.experiment.advice import advise
from segdistill.recipe import load_recipe

STAGES = ("loading", "teacher", "student", "task", "kd", "af_dcd", "optimizer")
FILES = ("data.dataset=folder", "data.options={}", "data.root=X", "data.num_workers=4")
BASE = ("teacher.weights=X", "train.precision=fp32", "train.channels_last=false", *FILES)


def advice(slowest, *overrides, on_gpu=False, cores=8):
    shares = dict.fromkeys(STAGES, 0.05) | {slowest: 0.7}
    return advise(shares, load_recipe("demo", [*BASE, *overrides]), on_gpu=on_gpu, cores=cores)


@pytest.mark.parametrize(
    ("slowest", "overrides", "on_gpu", "remedy"),
    [
        ("loading", (), False, "segdistill prepare RECIPE --out FOLDER, then data.cache=FOLDER."),
        ("loading", ("data.cache=Y",), True, "data.num_workers=8; now 4."),
        ("loading", ("data.cache=Y", "data.num_workers=8"), True, "All 8 cores load already"),
        ("loading", ("data.dataset=streets", "data.root=null"), False, "data.num_workers=8; now 4."),
        ("teacher", (), True, "Try teacher.precision=bf16."),
        ("teacher", ("train.precision=bf16",), True, "Try teacher.compile=true."),
        ("teacher", (), False, "Try teacher.compile=true."),  # a CPU mostly has no bf16
        ("teacher", ("teacher.fold_bn=false",), False, "Try teacher.fold_bn=true."),
        ("teacher", ("teacher.compile=true",), False, "a smaller teacher."),
        ("student", (), True, "Try train.precision=bf16."),
        ("student", (), False, "Try train.channels_last=true."),
        ("student", ("train.channels_last=true",), False, "Try train.compile=true."),
        ("student", ("train.channels_last=true", "train.compile=true"), False, "a smaller student or data.crop_size."),
        ("task", (), False, "a smaller data.crop_size."),
        ("optimizer", (), True, "a larger data.batch_size."),
        ("af_dcd", ("terms.af_dcd.impl=reference",), True, "Try terms.af_dcd.impl=auto."),
        ("af_dcd", (), True, "Try train.precision=bf16."),
        ("af_dcd", (), False, "another terms.af_dcd.layer, of fewer channels or positions."),
    ],
)
def test_one_option_is_named(slowest, overrides, on_gpu, remedy):
    said = advice(slowest, *overrides, on_gpu=on_gpu)
    assert said.startswith(f"Slowest: {slowest}, 70 % of the step. ")
    assert remedy in said


def test_the_teacher_is_named_by_its_key():
    overrides = ("teacher=null", "teachers={city: {weights: X, compile: true}, dino: {weights: Y}}")
    assert "Try teachers.dino.compile=true." in advice("teacher", *overrides)


def test_a_teacher_of_somebodys_own_has_no_options():
    recipe = load_recipe("demo_student", [])
    assert "smaller teacher" in advise({"teacher": 0.9, "student": 0.1}, recipe, on_gpu=True, cores=2)
