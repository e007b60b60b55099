"""Fake run folders with the files and names of real ones."""

import json
import math

import numpy as np
import pytest
from PIL import Image

NAMES = ["sky", "building", "vegetation", "road", "pavement", "car", "person", "pole", "sign"]
COLORS = [[70, 130, 180], [70, 70, 70], [107, 142, 35], [128, 64, 128], [244, 35, 232], [0, 0, 142],
          [220, 20, 60], [153, 153, 153], [220, 220, 0]]  # fmt: skip


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def make_gallery(folder, seed, count, size):
    """Pictures of noise; the images are those of every run, predictions differ with the seed."""
    folder.mkdir()
    for index in range(count):
        shared = np.random.default_rng(index)
        truth = np.repeat(np.repeat(shared.integers(0, 9, (size[0] // 8, size[1] // 8)), 8, 0), 8, 1)
        wrong = np.random.default_rng([seed, index]).random(truth.shape) < 0.1
        palette = np.asarray(COLORS, np.uint8)
        for name, pixels in (
            ("image", shared.integers(0, 256, (*truth.shape, 3), dtype=np.uint8)),
            ("truth", palette[truth]),
            ("prediction", palette[np.where(wrong, (truth + 1) % 9, truth)]),
        ):
            Image.fromarray(pixels).save(folder / f"{name}_{index:03d}.png")


@pytest.fixture
def make_run(tmp_path):
    """Write a run folder and return it; keywords replace keys of its ``result.json``."""

    def make(folder, kind="student", miou=0.5, *, seed=0, gallery=2, gallery_size=(48, 80), **changes):
        run = tmp_path / folder
        run.mkdir(parents=True)
        rng = np.random.default_rng([seed, round(1000 * miou)])
        steps = list(range(10, 301, 10))
        parts = {"task": 1.0, "kd": 0.3, "af_dcd.mimic": 20.0} if kind == "distilled" else {"task": 1.0}
        train = [
            {"step": s, "loss": 1.3, "lr": 0.01,
             "parts": {k: v * (math.exp(-s / 90) + 0.2 + 0.1 * rng.random()) for k, v in parts.items()}}
            for s in steps
        ]  # fmt: skip
        ious = [min(1.0, max(0.0, miou + 0.3 * math.cos(k + seed / 9))) for k in range(len(NAMES) - 1)]
        val = [
            {"step": s, "val": {"miou": miou * (1 - math.exp(-s / 80)), "pixel_accuracy": 0.8, "per_class_iou": ious}}
            for s in steps[5::6]
        ]
        write_lines(run / "metrics.jsonl", sorted(train + val, key=lambda record: record["step"]))
        write_lines(run / "timing.jsonl", [{"step": s, "seconds": s / 5, "images_per_s": 40.0} for s in steps])
        (run / "recipe.yaml").write_text(f"name: {folder}\nseed: {seed}\ntrain:\n  iterations: 300\n")
        environment = {"device": "cpu", "threads": 2, "packages": {"torch": "2.9", "numpy": "2.2"}}
        (run / "environment.json").write_text(json.dumps(environment))
        result = {
            "name": folder.split("-")[0],
            "kind": kind,
            "seed": seed,
            "model": "deeplabv3_resnet18" if kind == "teacher" else "deeplabv3_mobilenetv2_035",
            "terms": {"kd": {"title": "KD"}, "af_dcd": {"title": "Af-DCD"}} if kind == "distilled" else {},
            "protocol": "streets val, 100 images, 9 classes, whole image, single scale",
            "score": {
                "miou": miou,
                "pixel_accuracy": 0.8,
                "per_class_iou": dict(zip(NAMES, [*ious, None], strict=True)),
            },
            "best": {"step": 300, "val_miou": miou},
            "teacher": {"name": "deeplabv3_resnet18", "miou": 0.7} if kind == "distilled" else None,
            "params": 11_300_000 if kind == "teacher" else 620_000,
            "ms_per_image": 21.5 if kind == "teacher" else 6.2,
            "iterations": 300,
            "seconds": 63.0,
            "labels": {"names": NAMES, "colors": COLORS},
        }
        (run / "result.json").write_text(json.dumps(result | changes))
        if gallery:
            make_gallery(run / "gallery", seed + round(1000 * miou), gallery, gallery_size)
        return run

    return make


@pytest.fixture
def three_runs(make_run):
    """Teacher, student alone, distilled student, as the demo leaves them."""
    return [make_run("teacher", "teacher", 0.7), make_run("alone", miou=0.5), make_run("distilled", "distilled", 0.58)]
