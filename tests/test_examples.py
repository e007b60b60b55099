import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run_here():
    tested = {name for name in globals() if name.startswith("test_example_")}
    assert tested == {f"test_example_{path.stem}" for path in EXAMPLES.glob("*.py")}


def test_example_own_loop(capsys):
    results = example("own_loop").run(steps=2, num_images=4)
    assert list(results) == ["teacher", "student alone", "student with KD and Af-DCD"]
    assert all(0 <= score <= 1 for score in results.values())
    last = capsys.readouterr().out.splitlines()[-1]
    assert all(part in last for part in ("2/2", "task", "kd", "af_dcd.mimic", "af_dcd.contrast"))


def test_example_folder_data(tmp_path, capsys):
    masks = example("folder_data").run(tmp_path, steps=1, num_train=8, num_val=2)
    assert "problems: none" in capsys.readouterr().out
    assert (tmp_path / "runs/distilled/student.safetensors").is_file()
    assert len(masks) == 2
    for path in masks:
        with Image.open(path) as mask:
            assert mask.size == (64, 64)
            assert np.asarray(mask).max() < 3


def test_example_own_networks(tmp_path, monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr("sys.path", [*sys.path])
    try:
        assert 0 <= example("own_networks").run(tmp_path) <= 1
    finally:
        sys.modules.pop("own_networks", None)
