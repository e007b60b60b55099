import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from benchmarks.__main__ import SUBJECTS

from benchmarks import first_gpu, profiled

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


def command(monkeypatch, folder, *words):
    monkeypatch.setattr(sys, "argv", ["first_gpu", "--out", str(folder), *words])
    return first_gpu.main(), json.loads((folder / "first_gpu.json").read_text())


def states(record):
    return {name: part["state"] for name, part in record["parts"].items()}


@NO_GPU
def test_without_a_gpu_every_part_that_needs_one_is_named_with_the_reason(tmp_path, monkeypatch, capsys):
    code, record = command(monkeypatch, tmp_path / "new")
    assert code == 0
    assert list(record["parts"]) == list(first_gpu.NAMES)
    assert states(record) == {"facts": "done", **dict.fromkeys(first_gpu.NAMES[1:], "skipped")}
    assert {part.get("reason") for part in record["parts"].values()} == {None, "torch finds no CUDA device"}
    facts = (tmp_path / "new/facts.txt").read_text()
    assert f"torch {torch.__version__.split('+')[0]}" in facts
    assert "/dev/shm" in facts
    assert "nvidia-smi" in facts
    assert "parity: skipped: torch finds no CUDA device" in capsys.readouterr().out
    assert {"commit", "torch", "triton"} <= record["environment"].keys()


def test_parts_that_measure_run_tiny_on_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    measuring = ["contrast and loss", "profile", "nsight compute", "tests"]  # the others measure with the same command
    options = ["--device", "cpu", "--small", "--turns", "1", "--only", *measuring]
    code, record = command(monkeypatch, tmp_path, *options)
    assert code == 0, record
    skipped = {name for name, state in states(record).items() if state == "skipped"}
    assert skipped == {"nsight compute", "tests"}
    assert record["parts"]["tests"]["reason"] == "it needs a GPU, and the device is 'cpu'"
    assert set(json.loads((tmp_path / "gpu.json").read_text())) == {"contrast", "loss"}
    assert "### The contrast alone" in (tmp_path / "gpu.md").read_text()
    table = (tmp_path / "profile_table.txt").read_text()
    assert all(f"{what}: " in table for what in profiled.WATCHED)
    assert "bilinear backward: 0 calls" not in table
    assert "Input Shapes" in table
    for part in record["parts"].values():
        assert part["state"] == "skipped" or (tmp_path / part["file"]).stat().st_size > 0


def test_a_part_that_fails_is_told_with_its_last_words_and_stops_no_other(tmp_path, monkeypatch):
    python = [sys.executable, "-c"]
    given = [
        first_gpu.Part("a b", [*python, "print('before'); raise ValueError('why')"], None, {}),
        first_gpu.Part("slow", [*python, "import time; print('here', flush=True); time.sleep(60)"], None, {}),
        first_gpu.Part("absent", ["no-such-program"], None, {}),
        first_gpu.Part("good", [*python, "import os; print(os.environ['MODE'])"], None, {"MODE": "0"}),
    ]
    monkeypatch.setattr(first_gpu, "parts", lambda *_: given)
    code, record = command(monkeypatch, tmp_path, "--limit", "5")
    assert code == 1
    parts = record["parts"]
    assert states(record) == {"a b": "failed", "slow": "failed", "absent": "failed", "good": "done"}
    assert parts["a b"]["error"] == "it ended with code 1"
    assert parts["a b"]["last lines"][-1] == "ValueError: why"
    assert parts["a b"]["file"] == "a_b.txt"
    assert parts["slow"]["error"] == "it took longer than 5 s (`--limit`)"
    assert parts["slow"]["last lines"] == ["here"]
    assert "no-such-program" in parts["absent"]["error"]
    assert (tmp_path / "good.txt").read_text() == "0\n"


def test_parts_done_before_stay_and_unknown_ones_are_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "first_gpu.json").write_text(json.dumps({"parts": {"parity": {"state": "done"}}}))
    _, record = command(monkeypatch, tmp_path, "--only", "facts")
    assert states(record) == {"parity": "done", "facts": "done"}
    with pytest.raises(SystemExit):
        command(monkeypatch, tmp_path, "--only", "facs")
    assert "got facs." in capsys.readouterr().err


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(first_gpu.shutil, "which", lambda name: None)
    monkeypatch.setattr(first_gpu.importlib.util, "find_spec", lambda name: None)
    parts = {part.name: part for part in first_gpu.parts(Path("out"), "cuda", 3, False)}
    assert tuple(parts) == first_gpu.NAMES
    assert {name: part.obstacle for name, part in parts.items() if part.obstacle} == {
        "nsight compute": "ncu is not installed",
        "tests": "pytest is not installed",
    }
    assert parts["tests"].settings == {"TRITON_INTERPRET": "0"}
    assert parts["step"].command[-6:] == ["--out", "out/step.json", "--only", "step", "--batches", "16"]
    assert parts["rest"].command[-5:] == ["--out", "out/gpu.json", "--only", "step", "growth"]
    measured = {word for name in ("contrast and loss", "rest") for word in parts[name].command}
    assert set(SUBJECTS) <= measured


@pytest.mark.parametrize(
    ("key", "shapes", "what"),
    [
        ("aten::cudnn_convolution", [[2, 1, 8, 8], [64, 1, 3, 3], [], []], "convolution of one channel to many"),
        ("aten::cudnn_convolution", [[2, 9, 8, 8], [64, 9, 3, 3], [], []], None),
        ("void cudnn::ops::nchwToNhwcKernel<float>", [], "transposes between layouts"),
        ("segdistill::squared_error", [[2, 3]], "squared error"),
        ("aten::upsample_bilinear2d_backward", [[2, 3, 8, 8]], "bilinear backward"),
    ],
)
def test_what_is_watched_is_known_by_name_and_shape(key, shapes, what):
    class Event:
        pass

    event = Event()
    event.key, event.input_shapes = key, shapes
    assert [name for name, known in profiled.WATCHED.items() if known(event)] == ([what] if what else [])


def test_the_contrast_runs_alone():
    root = Path(first_gpu.__file__).parents[1]
    words = ["-m", "benchmarks.profiled", "contrast", "--small", "--device", "cpu", "--batch", "1"]
    done = subprocess.run(
        [sys.executable, *words], cwd=root, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0
