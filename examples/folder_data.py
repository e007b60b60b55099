"""From a folder of images and masks to a small network: check, teacher, distilled student, masks.

    python examples/folder_data.py                       # a few minutes on a CPU
    python examples/folder_data.py --steps 2 --out DIR   # seconds

Every verb of the command line is a function; each step names its command.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import segdistill as sd

CLASSES = ("ground", "disc", "box")
COLORS = np.array([(60, 60, 60), (130, 60, 50), (50, 70, 130)])

STUDENT = """\
name: shapes_student
data: {dataset: folder, root: ROOT, crop_size: [64, 64], scale_range: [1.0, 1.0], batch_size: 8, num_workers: 0}
model: {name: deeplabv3_mobilenetv2_035, options: {output_stride: 16}}
train: {iterations: STEPS, val_every: STEPS, log_every: 10, device: cpu}
"""
TEACHER = """\
base: student
name: shapes_teacher
role: teacher
model: {name: deeplabv3_resnet18}
"""
DISTILLED = """\
base: student
name: shapes_distilled
teacher: {weights: RUN}
terms:
  kd: {}
  af_dcd: {layer: layer4, weight: {mimic: 5.0, contrast: 0.1}, reduction: mean, pool_size: 1}
"""


def make_data(root: Path, num_train: int, num_val: int) -> None:
    """Write `<split>/images`, `<split>/masks` and `classes.txt`: the layout that `dataset: folder` reads."""
    rng = np.random.default_rng(0)
    for split, count in (("train", num_train), ("val", num_val)):
        images, masks = root / split / "images", root / split / "masks"
        images.mkdir(parents=True, exist_ok=True)
        masks.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            mask = Image.new("L", (64, 64), 0)
            draw = ImageDraw.Draw(mask)
            for kind in (1, 2):
                x, y = rng.integers(0, 40, 2).tolist()
                (draw.ellipse if kind == 1 else draw.rectangle)((x, y, x + 22, y + 22), fill=kind)
            pixels = COLORS[np.asarray(mask)] + rng.integers(0, 120, (64, 64, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(images / f"{index:03d}.jpg")
            mask.save(masks / f"{index:03d}.png")
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")


def run(out: Path, steps: int, num_train: int = 64, num_val: int = 8) -> list[Path]:
    """Do everything in ``out``; return the masks that were written."""
    root = out / "data"
    make_data(root, num_train, num_val)
    files = {"student": STUDENT, "teacher": TEACHER, "distilled": DISTILLED}
    for name, text in files.items():
        filled = text.replace("ROOT", str(root)).replace("STEPS", str(steps))
        (out / f"{name}.yaml").write_text(filled, encoding="utf-8")

    # segdistill check student.yaml
    print("problems:", sd.check(out / "student.yaml").problems or "none")

    # segdistill train teacher.yaml --out runs/teacher
    teacher = sd.train(out / "teacher.yaml", out=out / "runs/teacher", resume=True)
    print(f"teacher: mIoU {100 * teacher.evaluation.miou:.1f} %, {teacher.result['params']:,} parameters")

    # segdistill train distilled.yaml teacher.weights=runs/teacher --out runs/distilled
    taught_by = [f"teacher.weights={teacher.folder}"]
    if steps < 100:
        taught_by.append("teacher.check=false")  # it has learned nothing yet, which a run would refuse
    student = sd.train(out / "distilled.yaml", overrides=taught_by, out=out / "runs/distilled", resume=True)
    print(f"student: mIoU {100 * student.evaluation.miou:.1f} %, {student.result['params']:,} parameters")

    # segdistill predict runs/distilled data/val/images --out masks
    return sd.predict(student.folder, root / "val/images", out=out / "masks").masks


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--out", type=Path, default=Path("runs/folder_data"))
    options = parser.parse_args()
    for path in run(options.out, options.steps):
        print(path)
