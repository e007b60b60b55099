"""Multiplications of a training step, counted: KD alone, and with Af-DCD at full width and in few directions.

    python -m benchmarks.flops --out benchmarks/results/flops.json

DeepLabV3-ResNet101 teaches DeepLabV3-ResNet18 on a crop of 256x512; the ratios are those of every
crop. Every loss is counted as its formula is written, so the numbers are those of no device; what faster forms save is
not in them.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.harness import commit
from benchmarks.networks import DeepLabV3
from segdistill.losses import AfDCDLoss
from segdistill.losses.kd import kd

CROP = 256, 512
CLASSES = 19
WIDTHS = (None, 512, 256, 128, 64)


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flops", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    found = count(CROP)
    out = parser.parse_args().out
    out.write_text(json.dumps({"commit": commit(), **found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def count(crop: tuple[int, int]) -> dict[str, Any]:
    """GMAC an image of the parts of a step, and the whole step as a ratio to that with KD."""
    teacher, student = DeepLabV3("resnet101", 256, CLASSES).eval(), DeepLabV3("resnet18", 128, CLASSES)
    image = torch.zeros(2, 3, *crop)  # two, as the pooled branch is normalised over the batch
    with FlopCounterMode(display=False) as asked, torch.no_grad():
        told = teacher(image)
    with FlopCounterMode(display=False) as learned:
        said = student(image)
        (said.logits.sum() + kd(said.logits, told.logits)).backward()
    step = _gmac(asked) + _gmac(learned)
    losses = {}
    for width in WIDTHS:
        loss = AfDCDLoss(student.channels, teacher.channels, width=width, basis="random", impl="reference")
        features = said.features["layer4"].detach().requires_grad_()
        with FlopCounterMode(display=False) as counted:
            sum(loss(features, told.features["layer4"])).backward()
        losses["all" if width is None else str(width)] = _gmac(counted)
    return {
        "crop": list(crop), "gmac": {"teacher": _gmac(asked), "student": _gmac(learned), "af_dcd by width": losses},
        "step to that with kd": {name: round((step + more) / step, 3) for name, more in losses.items()},
    }  # fmt: skip


def _gmac(counter: FlopCounterMode) -> float:
    return round(counter.get_total_flops() / 2e9 / 2, 2)  # of two images


if __name__ == "__main__":
    main()
