import json

import numpy as np
from PIL import Image
from tests.cli.settings import TINY
from tests.data.fakes import write_image

import segdistill
from segdistill import store


def test_train_evaluate_predict_and_report_end_to_end(ok, tmp_path):
    run, images = tmp_path / "run", tmp_path / "images"
    printed = ok("train", "demo_student", *TINY, "--out", run)
    assert f"run: {run}" in printed
    result = json.loads((run / store.RESULT).read_text())
    assert f"mIoU {100 * result['score']['miou']:.2f} %" in printed
    assert f"protocol: {result['protocol']}" in printed
    assert "streets val (3 images)" in result["protocol"]

    scores = tmp_path / "scores.json"
    printed = ok("evaluate", run, "--json", scores)
    assert json.loads(scores.read_text())["score"] == result["score"]
    for name, iou in result["score"]["per_class_iou"].items():
        assert any(
            name in line and ("-" if iou is None else f"{100 * iou:.2f}") in line for line in printed.splitlines()
        )
    printed = ok("evaluate", run / store.STUDENT, *TINY, "--recipe", "demo_student", "--split", "test")
    assert "streets test (3 images)" in printed
    assert "flip, 9 classes" in ok("evaluate", run, "evaluate.flip=true")

    for seed, name in enumerate(("a.png", "deep/b.jpg")):
        write_image(images / name, seed=seed)
    printed = ok("predict", run, images, "--out", tmp_path / "masks")
    assert f"2 images, masks and overlays in {tmp_path / 'masks'}" in printed
    mask = Image.open(tmp_path / "masks/masks/a.png")
    assert np.array_equal(np.array(mask), segdistill.load(run)(images / "a.png").numpy())
    assert (tmp_path / "masks/overlays/deep/b.jpg").is_file()

    report, table = tmp_path / "report.html", tmp_path / "table.md"
    printed = ok("report", run, "--out", report, "--markdown", table)
    assert f"report: {report}" in printed
    assert "<html" in report.read_text(encoding="utf-8")
    assert f"{100 * result['score']['miou']:.2f}" in table.read_text()

    assert f"run: {run}" in ok("train", "--resume", run)
    assert json.loads((run / store.RESULT).read_text()) == result
