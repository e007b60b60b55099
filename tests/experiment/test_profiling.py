import json
import math
import re

import pytest
import torch

from segdistill.experiment import profiling
from segdistill.experiment.profiling import PROFILE_WARM_UP, profile
from segdistill.experiment.session import build
from segdistill.recipe.load import load_recipe
from segdistill.util import RecipeError

TINY = [
    "data.options={num_images: 4, num_train: 4, size: [32, 48]}", "data.crop_size=[32,48]", "data.batch_size=2",
    "data.num_workers=0", "model.name=deeplabv3_mobilenetv2_035", "model.options={}",
    "model.options.output_stride=16",
    "train.iterations=1", "train.device=cpu",
]  # fmt: skip


@pytest.fixture
def recipe(save_network):
    def make(name="demo", *overrides):
        teacher = [f"teacher.weights={save_network()}"] if name == "demo" else []
        return load_recipe(name, [*TINY, *teacher, *overrides])

    return make


def by_name(measured):
    return {stage.name: stage for stage in measured.stages}


def test_stages_of_a_distillation_add_up(recipe):
    called = []
    measured = profile(recipe(), steps=3, advance=lambda: called.append(1))
    assert [stage.name for stage in measured.stages] == [
        "loading", "teacher", "student", "task", "kd", "af_dcd", "optimizer",
    ]  # fmt: skip
    assert len(called) == PROFILE_WARM_UP + 3
    total = sum(stage.forward_ms + (stage.backward_ms or 0) for stage in measured.stages)
    assert measured.split_ms == pytest.approx(total)
    assert sum(stage.share for stage in measured.stages) == pytest.approx(1)
    for stage in measured.stages:
        assert stage.forward_ms > 0
        assert (stage.backward_ms is None) == (stage.name in ("loading", "teacher", "optimizer"))
        assert stage.share == pytest.approx((stage.forward_ms + (stage.backward_ms or 0)) / total)
    assert 0.2 < measured.split_ms / measured.step_ms < 5  # generous: other work may run beside the tests
    slowest = max(measured.stages, key=lambda stage: stage.share)
    assert measured.advice.startswith(f"Slowest: {slowest.name}, {100 * slowest.share:.0f} % of the step. ")
    assert (measured.batch_size, measured.steps, measured.device, measured.precision) == (2, 3, "cpu", "fp32")


def test_memory_is_of_each_stage_and_no_more_than_of_the_step(recipe):
    measured = profile(recipe(), steps=1)
    stages = by_name(measured)
    assert max(stage.peak_bytes for stage in measured.stages) <= measured.peak_bytes
    assert stages["loading"].peak_bytes >= 2 * 3 * 32 * 48 * 4  # the images as float32
    assert stages["student"].peak_bytes > stages["teacher"].peak_bytes > 0  # it keeps its activations
    assert stages["kd"].peak_bytes >= 2 * 9 * 2 * 3 * 4  # logits at stride 16
    gradients = sum(p.numel() for p in build(recipe()).distiller.student.parameters()) * 4
    assert stages["student"].peak_bytes > gradients
    bigger = by_name(profile(recipe("demo", "data.batch_size=4"), steps=1))
    assert bigger["task"].peak_bytes == pytest.approx(2 * stages["task"].peak_bytes, rel=0.05)


@pytest.mark.parametrize("overrides", [(), ("train.precision=bf16",), ("train.accumulate=2", "optim.clip=1.0")])
def test_a_student_alone_has_no_teacher_and_no_terms(recipe, overrides):
    measured = profile(recipe("demo_student", *overrides), steps=1)
    assert [stage.name for stage in measured.stages] == ["loading", "student", "task", "optimizer"]
    assert all(math.isfinite(stage.share) for stage in measured.stages)
    assert measured.precision == ("bf16" if overrides == ("train.precision=bf16",) else "fp32")


def test_distillation_in_bf16(recipe):
    assert profile(recipe("demo", "train.precision=bf16"), steps=1).precision == "bf16"


def test_a_slow_loss_is_the_one_that_shows(recipe, monkeypatch):
    kd = profiling.build(recipe()).distiller.losses["kd"]
    forward = type(kd).forward

    def slow(self, *args):
        for _ in range(200):
            torch.randn(200, 200) @ torch.randn(200, 200)
        return forward(self, *args)

    before = by_name(profile(recipe(), steps=3))
    monkeypatch.setattr(type(kd), "forward", slow)
    after = by_name(profile(recipe(), steps=3))
    assert after["kd"].forward_ms > 5 * before["kd"].forward_ms
    assert after["kd"].share > before["kd"].share
    assert after["kd"].backward_ms < after["kd"].forward_ms


def test_nothing_is_written(recipe, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    profile(recipe("demo_student"), steps=1)
    assert list((tmp_path / "here").iterdir()) == []


def test_numbers_are_plain_values(recipe):
    measured = profile(recipe("demo_student"), steps=1)
    read = json.loads(json.dumps(measured.as_json()))
    assert read["stages"][1] == measured.stages[1]._asdict()
    assert read["step_ms"] == measured.step_ms


def test_what_cannot_be_measured_is_said(recipe, monkeypatch):
    with pytest.raises(ValueError, match="`steps` must be a whole number, at least 1; got 0"):
        profile(recipe("demo_student"), steps=0)
    with pytest.raises(RecipeError, match="must name a loss; got 'kdd'"):
        profile(recipe("demo", "terms.kdd={weight: 1.0}"), steps=1)
    several = profiling.make_accelerator(recipe("demo_student"))
    monkeypatch.setattr(type(several), "num_processes", 2)
    with pytest.raises(ValueError, match="of one process; got 2"):
        profile(recipe("demo_student"), steps=1)


def test_what_makes_a_step_cheaper_is_named(recipe):
    plain = profile(recipe("demo", "train.channels_last=false", "teacher.fold_bn=false"), steps=1)
    assert plain.options == []
    cheaper = profile(recipe("demo", "teacher.precision=bf16"), steps=1)
    assert cheaper.options[:2] == ["channels_last", "teacher in bf16"]
    assert re.fullmatch(r"teacher with \d+ batch norms folded", cheaper.options[2])


@pytest.mark.filterwarnings("ignore")  # torch warns about itself while it traces
def test_compiled_networks_are_measured_and_named(recipe, monkeypatch):
    compiled = []
    backend = lambda graph, _: compiled.append(graph) or graph.forward  # noqa: E731
    original = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: original(self, backend=backend))
    measured = profile(recipe("demo", "train.compile=true", "teacher.compile=true"), steps=2)
    assert len(compiled) == 2  # each network once, for whole and split steps
    assert {"compiled student", "compiled teacher"} <= set(measured.options)
    uncompiled = by_name(profile(recipe("demo"), steps=1))
    for name, stage in by_name(measured).items():
        assert stage.peak_bytes == pytest.approx(uncompiled[name].peak_bytes, rel=0.01)


@pytest.mark.gpu
def test_on_a_gpu(recipe, cuda):
    measured = profile(recipe("demo", "train.device=cuda", "train.precision=bf16"), steps=2)
    assert measured.device == torch.cuda.get_device_name(cuda)
    assert all(stage.peak_bytes > 0 for stage in measured.stages if stage.name in ("student", "teacher", "af_dcd"))
    assert measured.peak_bytes >= max(stage.peak_bytes for stage in measured.stages)
