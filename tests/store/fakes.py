"""A comparison as `segdistill compare` leaves it, with every file that a report reads; the numbers are made up."""

import json
import math

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

NAMES = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "person", "bicycle"]
COLORS = [[70, 130, 180], [70, 70, 70], [153, 153, 153], [128, 64, 128], [244, 35, 232], [107, 142, 35],
          [220, 220, 0], [190, 153, 153], [0, 0, 142], [220, 20, 60], [119, 11, 32]]  # fmt: skip
METHODS = {"none": 0.42, "kd": 0.43, "cwd": 0.45, "af_dcd": 0.47}
TEACHER = 0.55


def make_comparison(folder, *, methods=METHODS, seeds=3, names=NAMES, pictures=3):
    """Write a teacher, runs of every method and ``comparison.json``; return the run folders."""
    runs, plan = [make_run(folder / "teacher", "teacher", "teacher", TEACHER, 0, names, pictures)], []
    for name, miou in methods.items():
        kind = "student" if name == "none" else "distilled"
        own = [f"{number}/{seed}" for number in (len(plan),) for seed in range(seeds)]
        runs += [make_run(folder / run, name, kind, miou, seed, names, pictures) for seed, run in enumerate(own)]
        plan.append(
            {"name": name, "method": name.split("-")[0], "settings": {"groups": 4} if "-" in name else {}, "runs": own}
        )
    comparison = {
        "format": "segdistill-comparison-1", "name": "streets", "command": "segdistill compare streets --seeds 3",
        "budget": "time", "budget_seconds": 540.0, "against": "kd" if "kd" in methods else None,
        "teacher": "teacher", "methods": plan,
    }  # fmt: skip
    write(folder / "comparison.json", comparison)
    return runs


def make_run(folder, name, kind, miou, seed, names=NAMES, pictures=3):
    """Write one complete run and return its folder."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng([seed, len(name), round(1000 * miou)])
    miou += 0.01 * noise.random() if kind != "teacher" else 0
    count = len(names)
    ious = np.clip(miou + 0.3 * np.cos(1.7 * np.arange(count)) + noise.normal(0, 0.02, count), 0, 1).tolist()
    by_class = dict(zip(names, ious, strict=True))
    lines(folder / "metrics.jsonl", records(name, kind, miou, ious, noise))
    seconds = {"teacher": 90.0, "student": 30.0}.get(kind, 40.0 + len(name))
    lines(
        folder / "timing.jsonl",
        [{"step": s, "seconds": seconds * s / 300, "images_per_s": 40.0} for s in range(10, 301, 10)],
    )
    (folder / "recipe.yaml").write_text(f"name: {json.dumps(name)}\nseed: {seed}\n")
    write(folder / "environment.json", {"device": "cpu", "threads": 2, "packages": {"torch": "2.9"}})
    shares = noise.dirichlet(np.full(count, 0.3), count) * (1 - np.array(ious))[:, None] + np.diag(ious)
    write(folder / "confusion.json", {"matrix": (1e4 * shares).astype(int).tolist()})
    save_file(features(kind, miou, count, noise), folder / "analysis.safetensors")
    boundary = {
        "iou": 0.7 * miou, "f": 0.9 * miou, "rule": "within 3 pixels",
        "per_class_iou": {k: 0.7 * v for k, v in by_class.items()},
        "per_class_f": {k: 0.9 * v for k, v in by_class.items()},
    }  # fmt: skip
    score = {"miou": miou, "pixel_accuracy": 0.8, "per_class_iou": by_class, "boundary": boundary}
    result = {
        "name": name, "kind": kind, "seed": seed, "model": "big" if kind == "teacher" else "small", "score": score,
        "terms": {"kd": {"title": "KD"}} if kind == "distilled" else {},
        "protocol": f"val, 100 images, {count} classes",
        "best": {"step": 300, "val_miou": miou}, "params": 9_000_000 if kind == "teacher" else 600_000,
        "teacher": {"name": "big", "miou": TEACHER} if kind == "distilled" else None, "iterations": 300,
        "ms_per_image": 21.5 if kind == "teacher" else 6.0 + 0.1 * noise.random(), "seconds": seconds,
        "images_per_s": 40.0, "peak_memory_mb": 700.0, "labels": {"names": names, "colors": (COLORS * 16)[:count]},
    }  # fmt: skip
    write(folder / "result.json", result)
    if seed == 0:
        make_gallery(folder / "gallery", miou, noise, pictures)
    return folder


def records(name, kind, miou, ious, noise):
    """Lines of a log: train, gradient norms, validation."""
    parts = {"task": 1.0} | ({"kd": 0.3, f"{name}.main": 20.0} if kind == "distilled" else {})
    for step in range(10, 301, 10):
        decay = math.exp(-step / 90) + 0.2 + 0.05 * noise.random()
        yield {"step": step, "loss": 1.3, "lr": 0.01, "parts": {k: v * decay for k, v in parts.items()}}
        yield {"step": step, "grad_norms": {k: 0.1 * v * decay for k, v in parts.items()}}
        if step % 60 == 0:
            yield {
                "step": step,
                "val": {"miou": miou * (1 - math.exp(-step / 80)), "pixel_accuracy": 0.8, "per_class_iou": ious},
            }


def features(kind, miou, count, noise, pixels=96):
    """Pixels in clumps by class; the better the network, the tighter."""
    shared = np.random.default_rng(0)
    classes = shared.integers(0, min(count, 30), pixels)
    teacher = shared.normal(0, 2, (min(count, 30), 8))[classes] + shared.normal(0, 0.3, (pixels, 8))
    own = (teacher + noise.normal(0, 2 - 3 * miou, (pixels, 8))).astype(np.float16)
    kept = {"student.head": own, "student.layer4": own, "class": classes, "image": np.arange(pixels) // 12}
    if kind == "distilled":
        kept |= {"teacher.head": teacher.astype(np.float16), "teacher.layer4": teacher.astype(np.float16)}
    return kept


def make_gallery(folder, miou, noise, count, size=(48, 96)):
    """Blocks of classes above an ignored strip; a worse network has more blocks wrong."""
    folder.mkdir()
    palette, samples = np.zeros((256, 3), np.uint8), []
    palette[: len(COLORS)] = COLORS
    for index in range(count):
        blocks = np.random.default_rng(index).integers(0, len(COLORS), (size[0] // 8, size[1] // 8))
        truth = blocks.repeat(8, 0).repeat(8, 1)
        wrong = noise.random(blocks.shape).repeat(8, 0).repeat(8, 1) > miou + 0.3
        prediction = np.where(wrong, (truth + 1) % len(COLORS), truth)
        truth[-4:] = 255
        for name, pixels in (
            ("image", palette[truth] // 2 + 60),
            ("truth", palette[truth]),
            ("prediction", palette[prediction]),
        ):
            Image.fromarray(pixels).save(folder / f"{name}_{index:03d}.png")
        samples.append({"name": f"street_{(7 * index) % 10}.png", "miou": 1 - float(wrong.mean())})
    write(folder / "gallery.json", {"samples": samples})


def write(path, value):
    """Write JSON."""
    path.write_text(json.dumps(value))


def lines(path, values):
    """Write JSON lines."""
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


def change(folder, **changes):
    """Replace keys of ``comparison.json``."""
    path = folder / "comparison.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def fail(run, error="The loss is not finite at step 40."):
    """Make a failed run of a complete one."""
    (run / "result.json").unlink()
    (run / "failed.json").write_text(json.dumps({"error": error}))
