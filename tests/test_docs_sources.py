"""The pages on sources of networks: their code runs as it stands there."""

import sys
from pathlib import Path

import pytest
import torch
import yaml
from tests.conftest import UNASKED
from tests.data.fakes import write_image
from tests.pages import ROOT, samples

import segdistill
from segdistill.recipe.schema import Recipe


def test_the_page_on_networks_of_ones_own_runs(tmp_path, monkeypatch):
    from segdistill.cli.app import app

    page = (ROOT / "docs/sources/own.md").read_text(encoding="utf-8")
    tiny = ["data.options={num_images: 2, num_train: 2, size: [32, 48]}", "data.crop_size=[32,48]", "data.batch_size=2",
            "train.iterations=2", "train.device=cpu", "train.gallery=1", "terms={}", "terms.kd.weight=1",
            UNASKED]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    write_image(tmp_path / "photos/a.png")
    Path("nets.py").write_text(samples(page, "python")[0], encoding="utf-8")
    try:
        for line in samples(page, "bash")[0].splitlines():
            verb, *words = line.split()[1:]
            more = tiny if "demo" in words else []
            app([verb, *words[:1], *more, *words[1:]], standalone_mode=False)
    finally:
        sys.modules.pop("nets", None)
    assert (tmp_path / "runs/compare/demo/report.html").is_file()
    assert (tmp_path / "predictions").is_dir()


def test_the_python_of_the_page_on_openmmlab_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = segdistill.create_network("pspnet_resnet50", source="openmmlab", num_classes=2, options={"channels": 16})
    meta = {"CLASSES": ("road", "car"), "PALETTE": [[128, 64, 128], [0, 0, 142]]}
    torch.save({"meta": meta, "state_dict": trained.module.state_dict()}, "FILE.pth")
    page = (ROOT / "docs/sources/openmmlab.md").read_text(encoding="utf-8")
    (code,) = samples(page, "python")
    scope = {"loader": [(torch.rand(2, 3, 64, 64), torch.randint(0, 2, (2, 64, 64)))]}
    exec(code, scope)
    assert scope["network"].labels.names == ("road", "car")
    assert scope["small"].num_classes == 2
    (teacher,) = samples(page, "yaml")
    Recipe(**yaml.safe_load(teacher), name="r", data={"dataset": "streets", "crop_size": [64, 64]},
           model={"name": "pspnet_resnet18"}, terms={"kd": {}}, train={"iterations": 1})  # fmt: skip


@pytest.mark.parametrize("source", ["smp", "torchvision", "zoo"])
def test_the_python_of_the_pages_on_sources_runs(source):
    scope = {}
    for block in samples((ROOT / f"docs/sources/{source}.md").read_text(encoding="utf-8"), "python"):
        exec(block, scope)
    distiller = segdistill.Distiller(scope["student"], [segdistill.Term(segdistill.KDLoss(), name="kd")])
    images = torch.rand(2, 3, 64, 64)
    labels = torch.randint(0, 9, (2, 64, 64))
    assert torch.isfinite(distiller(images, labels, segdistill.Teacher(scope["teacher"])(images)).loss)


def test_the_python_of_the_page_on_transformers_runs():
    (code,) = samples((ROOT / "docs/sources/huggingface.md").read_text(encoding="utf-8"), "python")
    scope = {}
    exec(code, scope)
    assert scope["output"].logits.shape == (2, 11, 16, 16)
