"""A whole training step: teacher, student, task loss, KD, Af-DCD, optimizer; DeepLabV3-ResNet101 to ResNet-18."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.harness import Way, measure
from benchmarks.loss import WEIGHTS
from benchmarks.networks import DeepLabV3
from benchmarks.reference import PublishedAfDCD
from segdistill.distill.distiller import Distiller
from segdistill.distill.term import Term
from segdistill.losses import AfDCDLoss
from segdistill.networks.teacher import Teacher
from segdistill.types import IGNORE_INDEX

CASES = {"cpu": (((256, 512), 1), ((512, 1024), 1)), "cuda": (((512, 1024), 2), ((512, 1024), 8), ((512, 1024), 16))}
CLASSES = 19
CHANNELS = 512, 2048


def run(device: torch.device, *, turns: int, batches: tuple[int, ...] | None = None) -> Iterator[dict[str, Any]]:
    """One record a case."""
    for size, batch in CASES[device.type]:
        if batches is None or batch in batches:
            yield case(device, size, batch, turns=turns)


def case(device: torch.device, size: tuple[int, int], batch: int, *, turns: int) -> dict[str, Any]:
    """The published step and ours; ``held_mb`` is what each keeps between steps, MiB."""
    image = torch.rand(batch, 3, *size, device=device)
    labels = torch.randint(CLASSES, (batch, *size), device=device)
    labels[:, : size[0] // 8] = IGNORE_INDEX
    made = {"reference": published_step(image, labels), "ours": our_step(image, labels, low=False)}
    if device.type == "cuda":
        made["ours bf16"] = our_step(image, labels, low=True)
    ways: dict[str, Way] = {name: step for name, (step, _, _) in made.items()}  # type: ignore[misc]
    found = measure(ways, [], turns=turns, device=device)
    for name, (_, modules, optimizer) in made.items():
        if isinstance(found["ways"][name], dict):
            found["ways"][name]["held_mb"] = _held(modules, optimizer)
    return {"crop": list(size), "batch": batch, "student": "resnet18", "teacher": "resnet101", **found}


Made = tuple[Callable[[], None], list[nn.Module], torch.optim.Optimizer]


def published_step(image: Tensor, labels: Tensor) -> Made:
    """Plain PyTorch in float32, as the authors' loop."""
    device = image.device
    torch.manual_seed(0)
    teacher = DeepLabV3("resnet101", 256).to(device).eval()
    student, loss = DeepLabV3("resnet18", 128).to(device), PublishedAfDCD(*CHANNELS).to(device)
    optimizer = torch.optim.SGD(chain(student.parameters(), loss.parameters()), 1e-3, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        with torch.no_grad():
            told = teacher(image)
        said = student(image)
        logits = F.interpolate(said.logits, labels.shape[1:], mode="bilinear", align_corners=True)
        task = F.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX)
        rows = [x.permute(0, 2, 3, 1).reshape(-1, CLASSES) for x in (said.logits, told.logits)]
        kd = F.kl_div(rows[0].log_softmax(1), rows[1].softmax(1), reduction="batchmean")
        mimic, contrast = loss(said.features["layer4"], told.features["layer4"])
        optimizer.zero_grad()
        (task + kd + WEIGHTS[0] * mimic + WEIGHTS[1] * contrast).backward()
        nn.utils.clip_grad_norm_(loss.parameters(), 15)
        optimizer.step()

    return step, [teacher, student, loss], optimizer


def our_step(image: Tensor, labels: Tensor, *, low: bool) -> Made:
    """The package's distiller: channels-last, a folded teacher, the fast loss; ``low``: under autocast to bf16."""
    device = image.device
    torch.manual_seed(0)
    teacher = Teacher(
        DeepLabV3("resnet101", 256).to(device, memory_format=torch.channels_last),
        fold_bn=True,
        precision=torch.bfloat16 if low else None,
    )
    student = DeepLabV3("resnet18", 128).to(device, memory_format=torch.channels_last)
    weight = dict(zip(("mimic", "contrast"), WEIGHTS, strict=True))
    terms = [Term("kd"), Term(AfDCDLoss(*CHANNELS), layer="layer4", weight=weight)]
    distiller = Distiller(student, terms, teacher=teacher).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(distiller.parameters(), 1e-3, momentum=0.9, weight_decay=1e-4)
    image = image.to(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=low):
            output = distiller(image, labels, teacher(image))
        output.loss.backward()
        nn.utils.clip_grad_norm_(distiller.losses.parameters(), 15)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, [teacher, distiller], optimizer


def _held(modules: list[nn.Module], optimizer: torch.optim.Optimizer) -> float:
    tensors = [tensor for module in modules for tensor in chain(module.parameters(), module.buffers())]
    tensors += [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return round(sum(tensor.nbytes for tensor in tensors) / 2**20, 1)
