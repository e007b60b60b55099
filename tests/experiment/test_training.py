"""Whole runs through the command line, as a user has them: killed, resumed, shared by processes."""

import json
import os
import signal
import subprocess
import sys
import time
from fnmatch import fnmatch

import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import UNASKED

from segdistill import load, store
from segdistill.engine.signals import Stopped
from segdistill.experiment.scoring import score_network
from segdistill.experiment.training import run_recipe
from segdistill.recipe.load import load_recipe

TINY = [
    "data.options.size=[32,48]", "data.options.num_images=7", "data.options.num_train=7",
    "data.crop_size=[32,48]", "data.batch_size=4",
    "model.name=deeplabv3_mobilenetv2_035", "model.options={}",
    "model.options.output_stride=16", "train.gallery=2",
    "train.log_every=1", "train.device=cpu",
]  # fmt: skip
AF_DCD = [UNASKED, "terms.af_dcd.groups=8", "terms.af_dcd.pool_size=1", "terms.af_dcd.patch_size=[1,2]"]


def command(*arguments, launcher=()):
    return [*(launcher or (sys.executable,)), "-m", "segdistill", *map(str, arguments)]


def environment(**more):
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default", **more}


def run(*arguments, launcher=()):
    done = subprocess.run(
        command(*arguments, launcher=launcher), env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "run"
    recipe = load_recipe("demo_teacher", [*TINY, "model.name=deeplabv3_mobilenetv2_050", "train.iterations=3"])
    run_recipe(recipe, folder)
    return folder


def test_a_distillation_leaves_everything_a_run_promises(teacher, tmp_path):
    folder = tmp_path / "run"
    recipe = load_recipe(
        "demo", [*TINY, *AF_DCD, f"teacher.weights={teacher}", "train.iterations=4", "train.val_every=2"]
    )
    result = run_recipe(recipe, folder)

    assert result == json.loads((folder / store.RESULT).read_text())
    assert load_recipe(folder / store.RECIPE) == recipe
    assert (result["kind"], result["iterations"], result["seed"]) == ("distilled", 4, 0)
    records = list(store.read_records(folder / store.METRICS))
    assert set(records[0]["parts"]) == {"task", "kd", "af_dcd.mimic", "af_dcd.contrast"}
    vals = [record["val"]["miou"] for record in records if "val" in record]
    assert result["score"]["miou"] == max(vals) == result["best"]["val_miou"]
    taught_by = json.loads((teacher / store.RESULT).read_text())
    assert result["teacher"] == {
        "name": taught_by["model"],
        "miou": pytest.approx(taught_by["score"]["miou"], abs=1e-3),
        "classes": [],
        "asked": None,
    } | {cost: result["teacher"][cost] for cost in ("params", "macs", "ms_per_image")}
    assert result["teacher"]["params"] == pytest.approx(taught_by["params"], rel=0.02)  # norms are folded
    assert result["teacher"]["macs"] > result["teacher"]["params"]
    assert result["teacher"]["ms_per_image"] > 0
    assert len(list((folder / store.GALLERY).iterdir())) == 2 * 4 + 1  # image, truth, prediction, teacher; the index
    assert {"commit", "command", "packages", "device"} <= json.loads((folder / store.ENVIRONMENT).read_text()).keys()

    names = set(load_file(folder / store.STUDENT))
    predictor = load(folder)
    assert names == set(predictor.network.module.state_dict())
    assert result["params"] == sum(p.numel() for p in predictor.network.parameters())
    again = score_network(recipe, folder)
    assert again["score"] == result["score"]
    assert again["protocol"] in result["protocol"]

    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    listed = [file.name for file in store.RUN_FILES]
    assert not [name for name in left if not any(fnmatch(name, pattern) for pattern in listed)], "not in the list"
    assert {file.name for file in store.RUN_FILES if file.record} - {store.FAILED} <= left
    for file in store.RUN_FILES:
        if file.name.endswith(".json") and file.name in left:  # the schema holds every key, and no other is written
            assert store.read_record(file.record, folder / file.name).as_json() == store.read_json(folder / file.name)
    assert store.read_lines(store.LogLine, folder / store.METRICS)[0].as_json() == records[0]
    assert {name: term["loss"] for name, term in result["terms"].items()} == {"kd": "kd", "af_dcd": "af_dcd"}
    assert all(term["title"] for term in result["terms"].values())


@pytest.mark.filterwarnings("ignore")  # torch warns about itself while it traces
def test_a_compiled_run_gives_what_a_plain_one_gives(teacher, tmp_path, monkeypatch):
    compiled = []
    backend = lambda graph, _: compiled.append(graph) or graph.forward  # noqa: E731
    original = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: original(self, backend=backend))
    settings = [*TINY, *AF_DCD, f"teacher.weights={teacher}", "data.crop_size=[32,32]", "train.iterations=5",
                "train.val_every=2", "train.save_every=1"]  # fmt: skip
    plain, whole, parts = tmp_path / "plain", tmp_path / "whole", tmp_path / "parts"
    expected = run_recipe(load_recipe("demo", settings), plain)
    assert not compiled
    settings += ["train.compile=true", "teacher.compile=true"]
    result = run_recipe(load_recipe("demo", settings), whole)
    assert len(compiled) == 2  # student and teacher, each for the training crops and for nothing else
    assert result["score"]["miou"] == pytest.approx(expected["score"]["miou"], abs=1e-3)
    one, other = load_file(whole / store.STUDENT), load_file(plain / store.STUDENT)
    assert one.keys() == other.keys()
    assert all(torch.allclose(tensor, other[name], rtol=1e-3, atol=1e-4) for name, tensor in one.items())

    def stop_after_three(record):
        if record["step"] == 3:
            raise Stopped(3, signal.SIGTERM)

    with pytest.raises(Stopped):
        run_recipe(load_recipe("demo", settings), parts, on_log=stop_after_three)
    run_recipe(load_recipe("demo", settings), parts, resume=True)
    resumed = load_file(parts / store.STUDENT)
    assert all(torch.equal(tensor, one[name]) for name, tensor in resumed.items())


def test_a_distillation_in_low_precision_is_scored_and_written_too(teacher, tmp_path):
    settings = [*TINY, *AF_DCD, f"teacher.weights={teacher}", "train.iterations=2", "train.precision=bf16"]
    result = run_recipe(load_recipe("demo", settings), tmp_path)
    taught_by = json.loads((teacher / store.RESULT).read_text())["score"]["miou"]
    assert result["teacher"]["miou"] == pytest.approx(taught_by, abs=0.05)
    assert {name.split(".")[0] for name in load_file(tmp_path / store.ANALYSIS)} >= {"student", "teacher"}


def test_the_student_starts_the_same_with_and_without_terms(teacher, tmp_path):
    from segdistill.experiment.session import build

    alone = build(load_recipe("demo_student", [*TINY, "seed=5"])).distiller.student.state_dict()
    distilled = build(load_recipe("demo", [*TINY, *AF_DCD, "seed=5", f"teacher.weights={teacher}"]))
    assert all(torch.equal(tensor, alone[name]) for name, tensor in distilled.distiller.student.state_dict().items())


def test_a_complete_run_is_not_done_again(teacher):
    before = (teacher / store.STUDENT).stat().st_mtime_ns
    recipe = load_recipe(teacher / store.RECIPE)
    assert run_recipe(recipe, teacher, resume=True) == json.loads((teacher / store.RESULT).read_text())
    assert (teacher / store.STUDENT).stat().st_mtime_ns == before


def wait_for_step(folder, step, process):
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if any(record["step"] >= step for record in store.read_records(folder / store.METRICS)):
            return
        time.sleep(0.01)
    pytest.fail(f"the run ended or hung before step {step}: {process.communicate(timeout=10)}")


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 128 + signal.SIGINT)],
)
def test_a_run_stopped_by_a_signal_and_resumed_ends_as_if_it_had_not_been(teacher, tmp_path, signum, code):
    settings = [*TINY, *AF_DCD, f"teacher.weights={teacher}", "train.iterations=14", "train.val_every=6",
                "train.save_every=1", "data.num_workers=1"]  # fmt: skip
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_recipe(load_recipe("demo", settings), whole)

    process = subprocess.Popen(
        command("train", "demo", *settings, "--out", parts), env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for_step(parts, 3, process)
    process.send_signal(signum)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert not store.is_complete(parts)
    if signum != signal.SIGKILL:
        assert f"Continue with: segdistill train --resume {parts}" in " ".join(stderr.split("\n"))
        assert "Traceback" not in stderr
    run("train", "--resume", parts)

    assert (parts / store.METRICS).read_bytes() == (whole / store.METRICS).read_bytes()
    one, other = load_file(parts / store.STUDENT), load_file(whole / store.STUDENT)
    assert all(torch.equal(one[name], other[name]) for name in one | other)
    scores = [json.loads((folder / store.RESULT).read_text())["score"] for folder in (whole, parts)]
    assert scores[0] == scores[1]


STATEFUL = [
    UNASKED,
    "terms.af_dcd=null", "train.grad_norms_every=2",
    "terms.cirkd={layer: head, memory: true, pixel_memory: 50, region_memory: 20, pixel_keys: 40, region_keys: 16}",
    "terms.maskd={token_steps: 5, num_masks: 2}", "terms.skd_adversarial={lr: 0.01}",
    "terms.acam={layer: head, num_masks: 3}",
]  # fmt: skip


def test_memories_discriminators_and_mask_tokens_are_resumed_exactly(teacher, tmp_path):
    settings = [*TINY, *STATEFUL, f"teacher.weights={teacher}", "train.iterations=8", "train.val_every=4"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_recipe(load_recipe("demo", settings), whole)
    seen = 0

    def stop_after_six(record):
        nonlocal seen
        seen = max(seen, record["step"])
        if seen == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        run_recipe(load_recipe("demo", settings), parts, on_log=stop_after_six)
    run_recipe(load_recipe("demo", settings), parts, resume=True)
    assert (parts / store.METRICS).read_bytes() == (whole / store.METRICS).read_bytes()
    one, other = load_file(whole / store.LAST), load_file(parts / store.LAST)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert any("discriminator" in name for name in one)
    assert {name.split(".")[1] for name in one if name.startswith("optimizer.")} == {"0", "1", "2"}
    moved = [record["parts"] for record in store.read_records(whole / store.METRICS) if "parts" in record]
    assert moved[0]["maskd.mimic"] == 0 < moved[-1]["maskd.mimic"]  # the second stage came after the stop


def test_stateful_losses_hold_the_same_state_in_every_process(teacher, tmp_path):
    settings = [*TINY, *STATEFUL, f"teacher.weights={teacher}", "train.iterations=4", "train.val_every=4"]
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run("train", "demo", *settings, "--out", tmp_path / "two", launcher=torchrun)
    state = load_file(tmp_path / "two" / store.LAST)
    run("train", "demo", *settings, "--out", tmp_path / "one")
    alone = load_file(tmp_path / "one" / store.LAST)
    # Keys of the images of both processes: as much was remembered as by one process with all the images.
    slots = [name for name in state if name.endswith("s.next_slot")]
    assert len(slots) == 2
    for name in slots:
        assert torch.equal(state[name], alone[name])
        assert state[name].any()


def test_two_processes_match_one_at_the_same_global_batch(teacher, tmp_path):
    settings = [*TINY, *AF_DCD, f"teacher.weights={teacher}", "train.iterations=4", "train.val_every=2",
                "train.freeze_bn=true", "model.options.dropout=false", "terms.af_dcd.mask=centre",
                "train.accumulate=2", "optim.lr=0.05"]  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    run_recipe(load_recipe("demo", settings), one)
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = run("train", "demo", *settings, "--out", two, launcher=torchrun)
    assert done.stdout.count("protocol:") == 1
    assert json.loads((two / store.ENVIRONMENT).read_text())["processes"] == 2

    records = [list(store.read_records(folder / store.METRICS)) for folder in (one, two)]
    for single, shared in zip(*records, strict=True):
        assert single.keys() == shared.keys()
        if "loss" in single:
            assert shared["loss"] == pytest.approx(single["loss"], rel=1e-4)
            assert shared["parts"] == pytest.approx(single["parts"], rel=1e-2)
        else:
            assert shared["val"]["pixel_accuracy"] == pytest.approx(single["val"]["pixel_accuracy"], abs=1e-3)
    first, second = load_file(one / store.STUDENT), load_file(two / store.STUDENT)
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_two_processes_train_a_student_whose_auxiliary_head_counts_nothing(tmp_path):
    settings = [*TINY, "train.iterations=3", "train.val_every=3", "train.freeze_bn=true", "train.aux_weight=0",
                "model.options.dropout=false", "model.options.aux=true"]  # fmt: skip
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run("train", "demo_student", *settings, "--out", tmp_path / "two", launcher=torchrun)
    run_recipe(load_recipe("demo_student", settings), tmp_path / "one")
    first, second = (load_file(tmp_path / folder / store.STUDENT) for folder in ("one", "two"))
    assert any(name.startswith("aux.") for name in first)
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_a_term_that_diverges_stops_the_run_with_a_sentence(teacher, tmp_path):
    settings = [
        *TINY,
        UNASKED,
        f"teacher.weights={teacher}",
        "train.iterations=9",
        "terms.af_dcd=null",
        "terms.kd.weight=1e38",
    ]
    done = subprocess.run(
        command("train", "demo", *settings, "--out", tmp_path / "run"),
        env=environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    assert "is not finite at step" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_tensorboard_gets_the_records(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_recipe(
        load_recipe("demo_student", [*TINY, "train.iterations=2", "train.tracker=tensorboard"]), tmp_path / "run"
    )
    events = EventAccumulator(str(tmp_path / "run/tensorboard"))
    events.Reload()
    assert {"loss", "lr", "loss/task", "val/miou"} <= set(events.Tags()["scalars"])


def test_unlabelled_images_join_the_training_set(teacher, tmp_path):
    from PIL import Image

    for index in range(5):
        Image.new("RGB", (70, 50), (40 * index, 90, 90)).save(tmp_path / f"{index}.png")
    recipe = load_recipe(
        "demo", [*TINY, *AF_DCD, f"teacher.weights={teacher}", "train.iterations=4", f"data.unlabelled={tmp_path}"]
    )
    result = run_recipe(recipe, tmp_path / "run")
    assert result["iterations"] == 4
