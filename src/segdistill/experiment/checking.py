"""What can be wrong before a run: data, names, shapes, memory."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from segdistill.data import DATASETS, ScanReport, SegmentationDataset, evenly, scan
from segdistill.experiment.datasets import build_datasets
from segdistill.experiment.given import recipe_with
from segdistill.experiment.session import Built, build
from segdistill.networks import Teacher
from segdistill.recipe import Recipe
from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError, verb

Advance = Callable[[str, int, int], None]

NUM_SAMPLED = 64  # training images that every run looks at before it starts


class Shapes(NamedTuple):
    """One thing that the student gives, and the teacher's of the same name.

    Attributes:
        name: ``logits`` or a feature.
        student: (B, C, h, w).
        teacher: (B, C, h, w) of the teacher; None if it gives no such thing.
    """

    name: str
    student: tuple[int, ...]
    teacher: tuple[int, ...] | None


class Checkup(NamedTuple):
    """What the doctor found.

    Attributes:
        class_names: By train id.
        splits: Scan of every split that the recipe uses, by name.
        problems: Sentences; empty if the recipe can run.
        shapes: Of everything that is compared, for one crop.
        weight_bytes: Trained weights, their gradients and optimizer state.
        activation_bytes: What one micro-batch keeps for the backward pass, in float32.
    """

    class_names: Sequence[str]
    splits: dict[str, ScanReport]
    problems: list[str]
    shapes: list[Shapes]
    weight_bytes: int
    activation_bytes: int

    def frame(self) -> list[dict[str, Any]]:
        """A row a split and class: ``split``, ``class``, ``pixels``, ``share`` of the pixels that count."""
        rows = []
        for split, report in self.splits.items():
            total = max(1, int(report.histogram.sum()))
            for name, pixels in zip(self.class_names, report.histogram.tolist(), strict=True):
                rows.append({"split": split, "class": name, "pixels": pixels, "share": pixels / total})
        return rows


@verb
def check(
    recipe: str | Path | Recipe,
    student: nn.Module | None = None,
    teacher: Teacher | None = None,
    *,
    overrides: Sequence[str] = (),
    advance: Advance | None = None,
) -> Checkup:
    """Find what is wrong before a run: read every file of every split, build the networks, run one small step.

    Args:
        recipe: What is to run: a name, a YAML file, or a loaded recipe.
        student: As in `train`.
        teacher: As in `train`.
        overrides: ``["data.root=FOLDER"]``, on the recipe.
        advance: Called with split, files done and files in all.

    Returns:
        What was found; ``problems`` is empty if the recipe can run.

    Raises:
        RecipeError: If the recipe itself cannot be.

    Example:
        >>> check("demo_student", overrides=["data.options={num_images: 2, num_train: 2, size: [32, 48]}"]).problems
        []
    """
    recipe = recipe_with(recipe, overrides, student, teacher)
    names, splits, problems = _scan_splits(recipe, advance)
    shapes: list[Shapes] = []
    weights = activations = 0
    try:
        built = build(recipe, student, teacher)
        shapes, activations = try_step(built, recipe, torch.device("cpu"))
        weights = _weight_bytes(built)
    except (ValueError, OSError, RuntimeError) as error:
        if str(error) not in problems:
            problems.append(str(error))
    return Checkup(names, splits, problems, shapes, weights, activations)


def refuse_faults(recipe: Recipe, built: Built, device: torch.device) -> None:
    """The part of `check` that every run begins with: seconds, before hours.

    One step at the crop size; every image that will be scored, since one bad file would end a validation; and
    an even sample of the training images.

    Raises:
        ValueError: If a shape does not fit or a file is faulty; names the first few.
    """
    try_step(built, recipe, device)
    faults = []
    for dataset in (evenly(built.train_set, NUM_SAMPLED), built.val_set, built.test_set):
        if dataset is not None:
            faults += scan(dataset, num_workers=max(1, recipe.data.num_workers)).faults
    if faults:
        first = " ".join(f"{fault.path} {fault.problem}. {fault.remedy}" for fault in faults[:3])
        more = f" And {len(faults) - 3} more: segdistill check lists all." if len(faults) > 3 else ""
        raise ArgumentError(f"the data has faults: {first}{more}")


def try_step(built: Built, recipe: Recipe, device: torch.device) -> tuple[list[Shapes], int]:
    """One forward pass over a random crop, without data.

    Returns:
        Shapes, and the bytes that a micro-batch keeps for the backward pass.

    Raises:
        ValueError: If a shape does not fit.
    """
    image = torch.rand(1, 3, *recipe.data.crop_size, device=device)
    labels = torch.full((1, *recipe.data.crop_size), IGNORE_INDEX, device=device)
    labels[..., 0] = 0
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    built.distiller.eval()  # running statistics stay as they are
    teacher = None if built.teacher is None else built.teacher(image)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        student = built.distiller(image, labels, teacher).student
    weights = {p.untyped_storage().data_ptr() for p in built.distiller.parameters()}
    bytes_per_image = sum(size for pointer, size in kept.items() if pointer not in weights)
    rows = [Shapes("logits", tuple(student.logits.shape), None if teacher is None else tuple(teacher.logits.shape))]
    for name, feature in student.features.items():
        other = None if teacher is None else teacher.features.get(name)
        rows.append(Shapes(name, tuple(feature.shape), None if other is None else tuple(other.shape)))
    return rows, bytes_per_image * recipe.data.batch_size // recipe.train.accumulate


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


def _weight_bytes(built: Built) -> int:
    """Trained weights, their gradients, and what the optimizer keeps for each."""
    copies = 3 if isinstance(built.optimizers[0], torch.optim.SGD) else 4
    return copies * sum(p.numel() * p.element_size() for p in built.distiller.parameters())
