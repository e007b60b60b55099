"""Networks of a user's own in every command."""

import json
import sys

import numpy as np
import pytest
from PIL import Image
from tests.cli.settings import TINY
from tests.conftest import UNASKED

CODE = """
from torch import nn
import segdistill as sd

class Plain(nn.Module):
    def __init__(self, width, channels):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, 4, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.classifier = nn.Conv2d(width, channels, 1)

    def forward(self, image):
        return self.classifier(self.body(image))

def small(num_classes): return Plain(8, num_classes)
def big(num_classes): return sd.Network(Plain(16, num_classes))
def frozen(num_classes): return sd.Teacher(Plain(16, num_classes))
def sigmoid(): return sd.Network(Plain(8, 1), preprocessing=sd.create_network("deeplabv3_mobilenetv2_035", num_classes=2).preprocessing)
def sigmoid_teacher(): return Plain(16, 1)
"""  # noqa: E501
KD = [UNASKED, "terms={}", "terms.kd.weight=1"]  # random teachers are at chance level
BOTH = ["--student", "my_own:small", "--teacher", "my_own:big"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "my_own.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("my_own", None)


@pytest.fixture
def plain():
    """Overrides that leave the model's options away, which are not the own network's."""
    return [*(text for text in TINY if not text.startswith("model.")), *KD]


def test_train_evaluate_predict_check_profile(ok, segdistill_, plain, here):
    ok("check", "demo", *plain, *BOTH)
    assert "teacher" in ok("profile", "demo", *plain, "--steps", "1", *BOTH[:2], "--teacher", "my_own:frozen")
    ok("train", "demo", *plain, *BOTH, "--out", "run")
    result = json.loads((here / "run/result.json").read_text())
    assert (result["model"], result["teacher"]["name"]) == ("(given in Python)", "(given in Python)")
    assert "my_own" not in (here / "run/recipe.yaml").read_text()
    assert "mIoU" in ok("evaluate", "run", "--student", "my_own:small")
    code, _, err = segdistill_("evaluate", "run")
    assert code == 2
    assert "--student MODULE:FUNCTION" in err
    Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save("a.png")
    assert "1 image" in ok("predict", "run", "a.png", "--student", "my_own:small", "--device", "cpu")
    assert "is complete" in ok("train", "--resume", "run", *BOTH)
    code, _, err = segdistill_("train", "demo", *plain, *BOTH[:2], "--teacher", "my_own:large", "--out", "other")
    assert code == 2
    assert "my_own must have a function 'large'" in err


def test_list_shows_the_layers_and_what_stands_for_the_defaults(ok, plain):
    printed = ok("list", "--layers", "my_own:small")
    assert "layer4, where a term reads it: body" in printed
    assert "head, where a term reads it: classifier[input]" in printed
    printed = ok("list", "--layers", "demo_student", "--student", "my_own:small")
    assert "student: Network(Plain, 19 classes" in printed


def test_losses_on_layers_run_for_a_pair_that_names_none(ok, plain, here):
    terms = ["terms.cwd.layer=head", "terms.cwd.weight=1", "terms.af_dcd.groups=4"]
    printed = ok("check", "demo", *plain, *terms, *BOTH)
    assert "layer4: student (1, 8, 8, 12), teacher (1, 16, 8, 12)" in printed
    assert "head: student (1, 8, 8, 12), teacher (1, 16, 8, 12)" in printed


def test_compare(ok, plain, here):
    arguments = ["compare", "demo", *plain, *BOTH, "--methods", "kd", "--seeds", "1", "--out", "all"]
    ok(*arguments, "--jobs", "2", "--runs-only")  # each run in a process that builds them itself
    assert (here / "all/none/0/result.json").is_file()
    ok(*arguments)
    rows = json.loads((here / "all/table.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["none", "kd"]
    comparison = json.loads((here / "all/comparison.json").read_text())
    assert comparison["teacher"] is None
    assert set(comparison["ms_per_image"]) == {"none", "kd"}
    ok(*arguments, "--seeds", "2", "--runs-only")


def test_a_network_of_one_sigmoid_channel_from_training_to_masks(ok, segdistill_, here):
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        for split, count in (("train", 4), ("val", 2)):
            (here / "data" / kind / split).mkdir(parents=True)
            for number in range(count):
                shape = (32, 48, 3) if kind == "images" else (32, 48)
                pixels = rng.integers(0, 256 if kind == "images" else 2, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(here / "data" / kind / split / f"{number}.png")
    recipe = """
name: binary
data: {dataset: folder, root: data, options: {classes: [a, b]}, crop_size: [32, 48], batch_size: 2, num_workers: 0}
model: {name: deeplabv3_mobilenetv2_035}
teacher: {weights: none, check: false}
terms: {kd: {weight: 1}}
train: {iterations: 2, device: cpu, gallery: 1}
"""
    (here / "binary.yaml").write_text(recipe)
    both = ["--student", "my_own:sigmoid", "--teacher", "my_own:sigmoid_teacher"]
    ok("train", "binary.yaml", *both, "--out", "run")
    first = json.loads((here / "run/metrics.jsonl").read_text().splitlines()[0])
    assert first["parts"]["kd"] > 0
    score = json.loads((here / "run/result.json").read_text())["score"]["miou"]
    assert f"mIoU {100 * score:.2f} %" in ok("evaluate", "run", "--student", "my_own:sigmoid")
    ok("predict", "run", "data/images/val", "--student", "my_own:sigmoid", "--device", "cpu", "--out", "masks")
    code, _, err = segdistill_("train", "binary.yaml", "data.options.classes=[a, b, c]", *both, "--out", "other")
    assert code == 2
    assert "`student` must have the 3 classes of the data; it has 2" in err
