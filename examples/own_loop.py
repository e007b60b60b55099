"""Distil a torchvision network in a training loop of your own, without the engine of segdistill.

    python examples/own_loop.py              # a few minutes on a CPU: teacher, student alone, distilled student
    python examples/own_loop.py --steps 2    # seconds: shows that it runs

The images are drawn by a program, so nothing is downloaded. Put your data and networks in their place. It shows the
loop, not a gain: after so few steps from scratch the teacher is behind the student alone (31.8 and 41.4 % mIoU, one
seed), and the distilled student follows it (31.3 %). A teacher must be better than its student: check that first.
"""

import argparse
from itertools import chain, islice, repeat
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large, lraspp_mobilenet_v3_large

import segdistill as sd
from segdistill.data import Streets
from segdistill.metrics.confusion import confusion_matrix, scores

NORM: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
DEEP = {"deep": "backbone.16"}  # by layer name: the last map of the backbone, in both networks
KD = sd.Term("kd")
AF_DCD = sd.Term(  # weighted so that no part outweighs the task loss
    "af_dcd", layer="deep", weight={"mimic": 1.0, "contrast": 0.01}, options={"reduction": "mean", "pool_size": 1}
)


def streets(split: str, count: int) -> TensorDataset:
    """Images (3, 96, 160) in [0, 1] and labels (96, 160)."""
    drawn = Streets(None, split, num_images=count)
    images, labels = zip(*(drawn.load(index) for index in range(count)), strict=True)
    return TensorDataset(torch.stack(images).float() / 255, torch.stack(labels).long())


def train(distiller: sd.Distiller, teacher: sd.Teacher | None, data: TensorDataset, steps: int) -> nn.Module:
    """An ordinary loop: the distiller gives the loss and leaves the student a plain network."""
    torch.manual_seed(0)
    loader = DataLoader(data, batch_size=4, shuffle=True, drop_last=True)
    for module in distiller.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1  # torchvision's 0.01 is for schedules far longer than this one
    optimizer = torch.optim.SGD(distiller.train().parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, steps, power=0.9)
    for step, (images, labels) in enumerate(islice(chain.from_iterable(repeat(loader)), steps), 1):
        output = distiller(images, labels, None if teacher is None else teacher(images))
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 20 == 0 or step == steps:
            print(f"  {step}/{steps} " + " ".join(f"{name} {part.item():.3g}" for name, part in output.parts.items()))
    return distiller.student


def miou(network: nn.Module, data: TensorDataset) -> float:
    """One confusion matrix over the whole set."""
    images, labels = data.tensors
    logits = sd.Teacher(network.eval(), **NORM)(images).logits  # torchvision enlarges them to the image
    return scores(confusion_matrix(logits.argmax(1), labels, logits.shape[1])).miou


def run(steps: int, num_images: int) -> dict[str, float]:
    """Scores of the teacher, the student alone, and the student with KD and Af-DCD from the same start."""
    data, val = streets("train", num_images), streets("val", max(4, num_images // 4))
    fresh = {"weights": None, "weights_backbone": None, "num_classes": Streets().labels.num_classes}
    print("teacher")
    big = train(sd.Distiller(deeplabv3_mobilenet_v3_large(**fresh), **NORM), None, data, steps)
    results = {"teacher": miou(big, val)}
    teacher = sd.Teacher(big, features=DEEP, **NORM)
    for name, terms in (("student alone", []), ("student with KD and Af-DCD", [KD, AF_DCD])):
        print(name)
        torch.manual_seed(1)
        distiller = sd.Distiller(lraspp_mobilenet_v3_large(**fresh), terms, features=DEEP, teacher=teacher, **NORM)
        results[name] = miou(train(distiller, teacher, data, steps), val)
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    for name, score in run(options.steps, options.images).items():
        print(f"{name}: mIoU {100 * score:.1f} %")
