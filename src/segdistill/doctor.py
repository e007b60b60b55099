"""What can be wrong before a run: data, names, shapes, memory."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from segdistill.build import Built, build, build_datasets
from segdistill.config import Recipe
from segdistill.data import DATASETS, ScanReport, SegmentationDataset, scan
from segdistill.types import IGNORE_INDEX

Advance = Callable[[str, int, int], None]


class Checkup(NamedTuple):
    """What the doctor found.

    Attributes:
        class_names: By train id.
        splits: Scan of every split that the recipe uses, by name.
        problems: Sentences; empty if the recipe can run.
        shapes: Name, student shape and teacher shape of everything that is compared.
        trained_bytes: Weights, gradients and optimizer state.
    """

    class_names: Sequence[str]
    splits: dict[str, ScanReport]
    problems: list[str]
    shapes: list[tuple[str, tuple[int, ...], tuple[int, ...] | None]]
    trained_bytes: int


def check(recipe: Recipe, *, advance: Advance | None = None) -> Checkup:
    """Read every file of every split, build the networks, and run one small step.

    Args:
        recipe: What is to run.
        advance: Called with split, files done and files in all.
    """
    names, splits, problems = _scan_splits(recipe, advance)
    shapes: list[tuple[str, tuple[int, ...], tuple[int, ...] | None]] = []
    trained = 0
    try:
        built = build(recipe)
        shapes = try_step(built, recipe)
        trained = _trained_bytes(built)
    except (ValueError, OSError, RuntimeError) as error:
        if str(error) not in problems:
            problems.append(str(error))
    return Checkup(names, splits, problems, shapes, trained)


def try_step(built: Built, recipe: Recipe) -> list[tuple[str, tuple[int, ...], tuple[int, ...] | None]]:
    """One forward pass at the recipe's crop size, without data or gradients.

    Returns:
        Name, student shape and teacher shape of logits and tapped features.

    Raises:
        ValueError: If a shape does not fit.
    """
    image = torch.rand(1, 3, *recipe.data.crop_size)
    labels = torch.full((1, *recipe.data.crop_size), IGNORE_INDEX)
    labels[..., 0] = 0
    built.distiller.eval()
    with torch.no_grad():
        teacher = None if built.teacher is None else built.teacher(image)
        student = built.distiller(image, labels, teacher).student
    rows = [("logits", tuple(student.logits.shape), None if teacher is None else tuple(teacher.logits.shape))]
    for name, feature in student.features.items():
        other = None if teacher is None else teacher.features.get(name)
        rows.append((name, tuple(feature.shape), None if other is None else tuple(other.shape)))
    return rows


def _scan_splits(recipe: Recipe, advance: Advance | None) -> tuple[Sequence[str], dict[str, ScanReport], list[str]]:
    try:
        sets = [dataset for dataset in build_datasets(recipe) if dataset is not None]
        if recipe.data.unlabelled is not None:
            names = sets[0].labels.names
            sets.append(DATASETS["images"](recipe.data.unlabelled, "unlabelled", classes=names))
    except (ValueError, OSError) as error:
        return (), {}, [str(error)]
    found = {dataset.split: _scan_one(dataset, recipe.data.num_workers, advance) for dataset in sets}
    problems = [f"{fault.path} {fault.problem}. {fault.remedy}" for report in found.values() for fault in report.faults]
    return sets[0].labels.names, found, problems


def _scan_one(dataset: SegmentationDataset, num_workers: int, advance: Advance | None) -> ScanReport:
    def progress(done: int, total: int) -> None:
        if advance is not None:
            advance(dataset.split, done, total)

    return scan(dataset, num_workers=num_workers, progress=progress)


def _trained_bytes(built: Built) -> int:
    """Weights, gradients and what the optimizer keeps per parameter; activations come on top."""
    copies = 3 if isinstance(built.optimizer, torch.optim.SGD) else 4
    return copies * sum(p.numel() * p.element_size() for p in built.distiller.parameters())
