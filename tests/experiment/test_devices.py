"""What a recipe leaves to the device. Decisions are functions of the device's name, so a CPU can test a GPU's."""

import json
import logging
import os

import pytest
import torch
from tests.experiment.settings import TINY

import segdistill as sd
from segdistill import store
from segdistill.experiment import scoring
from segdistill.experiment.devices import filled_in, for_device, in_words, switched
from segdistill.experiment.settings import build_plan
from segdistill.recipe import load_recipe
from segdistill.store import Environment
from segdistill.util import Stopped

OPEN = ["train.precision=null", "train.channels_last=null"]
GPU = {"device": "cuda", "has_bf16": True}
CPU = {"device": "cpu", "has_bf16": False}


def recipe(*overrides, name="demo_student"):
    return load_recipe(name, [*TINY, *OPEN, *overrides])


def chosen(*overrides, earlier=None, **device):
    train = filled_in(recipe(*overrides), earlier=earlier, **device).train
    return train.precision, train.channels_last


@pytest.mark.parametrize(
    ("device", "overrides", "expected"),
    [
        (CPU, (), ("fp32", False)),  # as it was before a device was asked
        (CPU, ("evaluate.protocol=paper",), ("fp32", False)),
        (GPU, (), ("bf16", True)),
        (GPU, ("evaluate.protocol=paper",), ("fp32", False)),  # as published
        (GPU | {"has_bf16": False}, (), ("fp32", False)),
        # what the recipe says wins
        (GPU, ("train.precision=fp32",), ("fp32", False)),
        (GPU, ("train.channels_last=false",), ("bf16", False)),
        (GPU, ("train.precision=bf16", "evaluate.protocol=paper"), ("bf16", True)),
        (CPU, ("train.precision=bf16",), ("bf16", False)),
        (CPU, ("train.channels_last=true",), ("fp32", True)),
    ],
)
def test_what_a_device_takes_where_the_recipe_leaves_it_open(device, overrides, expected):
    assert chosen(*overrides, **device) == expected


def test_a_run_that_is_resumed_goes_on_with_what_it_had():
    of_gpu, of_cpu = (Environment(precision=p, channels_last=c) for p, c in (("bf16", True), ("fp32", False)))
    assert chosen(earlier=of_gpu, **CPU) == ("bf16", True)
    assert chosen(earlier=of_cpu, **GPU) == ("fp32", False)
    assert chosen("train.precision=fp32", earlier=of_gpu, **CPU) == ("fp32", True)
    assert chosen(earlier=Environment(), **GPU) == ("bf16", True)  # an older run's does not say


def test_here_it_is_asked_of_the_device_itself():
    assert for_device(recipe(), torch.device("cpu")) == filled_in(recipe(), **CPU)


def test_without_a_device_the_numbers_are_those_of_a_cpu():
    plan = build_plan(recipe())
    assert (plan.precision, plan.channels_last) == (torch.float32, False)


def distilled(*overrides):
    return recipe("teacher.weights=X", *overrides, name="demo")


@pytest.mark.parametrize(
    ("made", "device", "line"),
    [
        (
            filled_in(recipe(), **CPU),
            "cpu",
            "cpu: 2 threads, fp32, channels first (train.threads or OMP_NUM_THREADS, train.precision, "
            "train.channels_last set others)",
        ),
        (
            filled_in(distilled(), **GPU),
            "NVIDIA H100",
            "NVIDIA H100: the fastest of cuDNN's algorithms, bf16, channels_last, the teacher in bf16 and folded "
            "(train.precision, train.channels_last set others)",
        ),
        (
            filled_in(distilled("train.deterministic=true", "teacher.precision=fp32", "teacher.fold_bn=false"), **GPU),
            "NVIDIA H100",
            "NVIDIA H100: deterministic algorithms, bf16, channels_last, the teacher in fp32 "
            "(train.precision, train.channels_last set others)",
        ),
    ],
)
def test_what_was_chosen_is_one_line(made, device, line):
    assert in_words(made, device, threads=2) == line


def switches():
    cudnn = torch.backends.cudnn
    return (cudnn.benchmark, cudnn.deterministic, torch.are_deterministic_algorithms_enabled())


@pytest.mark.parametrize(
    ("overrides", "device", "expected"),
    [
        ((), "cpu", (False, False, False)),
        ((), "cuda", (True, False, False)),
        (("train.deterministic=true",), "cuda", (False, True, True)),
        (("train.deterministic=true",), "cpu", (False, True, True)),
    ],
)
def test_switches_of_torch_are_set_for_a_run_and_put_back(overrides, device, expected, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = switches()

    def fail():
        with switched(recipe(*overrides), device):
            assert switches() == expected
            assert (os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None) == ":4096:8") == bool(overrides)
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert switches() == before == (False, False, False)


def test_a_workspace_that_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with switched(recipe("train.deterministic=true"), "cuda"):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_a_run_writes_down_and_says_what_it_took_and_keeps_its_recipe(tmp_path, caplog):
    given = recipe()
    with caplog.at_level(logging.INFO, logger="segdistill"):
        trained = sd.train(given, out=tmp_path / "run")
    assert load_recipe(trained.folder / store.RECIPE) == given
    found = json.loads((trained.folder / store.ENVIRONMENT).read_text())
    assert (found["precision"], found["channels_last"]) == ("fp32", False)
    (line,) = (message for message in caplog.messages if "set others" in message)
    assert line.startswith("cpu: 1 thread, fp32, channels first (")
    assert line in (trained.folder / store.EVENTS).read_text()


def test_a_run_is_scored_again_in_the_precision_of_its_training(tmp_path, monkeypatch):
    folder = sd.train(recipe(), out=tmp_path / "run").folder
    store.write_json(folder / store.ENVIRONMENT, store.read_json(folder / store.ENVIRONMENT) | {"precision": "bf16"})
    seen = []
    evaluate = scoring.evaluate
    monkeypatch.setattr(scoring, "evaluate", lambda *a, **k: seen.append(k["precision"]) or evaluate(*a, **k))
    for network in (folder, folder / store.STUDENT):
        scoring.score_network(recipe(), network)
    scoring.score_network(recipe("train.precision=fp32"), folder)
    assert seen == [torch.bfloat16, torch.bfloat16, torch.float32]


def test_a_run_of_another_device_goes_on_as_it_began(tmp_path):
    given, folder = recipe("train.save_every=1"), tmp_path / "run"

    def stop(record):
        raise Stopped(record["step"], 2)

    with pytest.raises(Stopped):
        sd.train(given, out=folder, on_log=stop)
    began = store.read_json(folder / store.ENVIRONMENT) | {"precision": "bf16", "channels_last": True}
    store.write_json(folder / store.ENVIRONMENT, began)
    sd.train(given, out=folder, resume=True)
    found = store.read_json(folder / store.ENVIRONMENT)
    assert (found["precision"], found["channels_last"]) == ("bf16", True)


def test_a_deterministic_run_on_a_cpu_is_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    results = [
        sd.train("demo_student", overrides=[*TINY, f"train.deterministic={on}"], out=tmp_path / on).result
        for on in ("false", "true")
    ]
    assert results[0]["score"]["miou"] == pytest.approx(results[1]["score"]["miou"], abs=1e-3)
