"""Programs that use an exported file without this package."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import segdistill as sd
from segdistill.labels import LabelTable
from segdistill.networks import Network
from segdistill.types import Preprocessing

SCRIPT = Path(__file__).parents[2] / "examples/deploy/segment.py"
TABLE = LabelTable.from_names(["void", "sky", "road", "car"], [(0, 0, 0), (70, 130, 180), (128, 64, 128), (0, 0, 142)],
                              ignored=[0])  # fmt: skip


def test_no_example_needs_the_package():
    assert "import segdistill" not in SCRIPT.read_text()


@pytest.mark.parametrize("form", [{}, {"uint8": True, "argmax": True}], ids=["floats to logits", "bytes to ids"])
def test_the_mask_is_that_of_predict(tmp_path, form):
    torch.manual_seed(0)
    network = Network(nn.Conv2d(3, 3, 5, stride=2, padding=2), preprocessing=Preprocessing(), labels=TABLE).eval()
    done = sd.export(network, out=tmp_path, noise=True, **form)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (45, 62, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    command = [sys.executable, str(SCRIPT), str(done.files["onnx"]), "photo.png", "mask.png"]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    with Image.open(tmp_path / "mask.png") as mask:
        found, palette = np.asarray(mask), mask.getpalette()
    expected = sd.load(done.files["onnx"])(tmp_path / "photo.png")
    assert np.array_equal(found, expected.numpy())
    assert palette[:9] == [70, 130, 180, 128, 64, 128, 0, 0, 142]
    assert [line.split(":")[0] for line in said.splitlines()] == ["sky", "road", "car"]
