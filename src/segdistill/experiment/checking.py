"""What can be wrong before a run: data, names, shapes, memory."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from segdistill.data import (
    ChannelStatistics,
    ScanReport,
    SegmentationDataset,
    channel_statistics,
    contact_sheet,
    divided,
    evenly,
    scan,
)
from segdistill.distill import fit_directions
from segdistill.experiment.checkup import Checkup, Shapes
from segdistill.experiment.datasets import build_dataset, build_datasets, unlabelled_source
from segdistill.experiment.feeding import judge_feeding
from segdistill.experiment.given import Given, recipe_with
from segdistill.experiment.norms import refuse_single_values, watch_norms
from segdistill.experiment.session import Built, build
from segdistill.experiment.silence import silent_terms
from segdistill.experiment.verdicts import Finding, judge_labels, judge_sizes, judge_twins
from segdistill.recipe import Recipe
from segdistill.types import AS_IT_IS, IGNORE_INDEX, SegOutput
from segdistill.util import ArgumentError, RecipeError, as_path, verb

Advance = Callable[[str, int, int], None]

NUM_SAMPLED = 64  # training images that every run looks at before it starts
NUM_MEASURED = 16  # whose channels are looked at
OWN_CLASSES = ("folder",)  # data sets whose class list is the user's
OF_ALL = ("absent-class", "two-values", "unlabelled-split")  # what a sample of a split cannot prove

logger = logging.getLogger(__name__)


@verb
def check(
    recipe: str | Path | Recipe,
    student: nn.Module | str | None = None,
    teacher: Given | None = None,
    *,
    overrides: Sequence[str] = (),
    pictures: str | Path | None = None,
    stats: bool = False,
    advance: Advance | None = None,
) -> Checkup:
    """Find what is wrong before a run: read every file of every split, build the networks, run one small step.

    Args:
        recipe: What is to run: a name, a YAML file, or a loaded recipe.
        student: As in `train`.
        teacher: As in `train`.
        overrides: ``["data.root=FOLDER"]``, on the recipe.
        pictures: A PNG or JPEG file to draw a contact sheet to: samples with their masks laid over, first those with
            a fault or without a label, then one for each class, the rarest first.
        stats: Also measure mean and standard deviation of the channels of the training images.
        advance: Called with split, files done and files in all.

    Returns:
        What was found; ``problems`` is empty if the recipe can run.

    Raises:
        RecipeError: If the recipe itself cannot be.
        ValueError: If ``pictures`` is not the name of a PNG or JPEG file, or no sample can be drawn.

    Example:
        >>> check("demo_student", overrides=["data.options={num_images: 2, num_train: 2, size: [32, 48]}"]).problems
        []
    """
    recipe = recipe_with(recipe, overrides, student, teacher)
    sheet = None if pictures is None else _picture_file(pictures)
    names, splits, findings = _scan_splits(recipe, advance, sheet)
    readable = splits and splits[recipe.data.train_split].image_sizes
    measured = _statistics(recipe, advance) if stats and readable else None
    shapes: list[Shapes] = []
    weights = activations = 0
    try:
        built = build(recipe, student, teacher)
        step = _step(built, recipe, torch.device("cpu"))
        shapes, activations = step.shapes, step.activation_bytes
        weights = _weight_bytes(built)
        findings += _silent(built, recipe, step) + _feeding(built)
    except (ValueError, OSError, RuntimeError) as error:
        if str(error) not in map(str, findings):
            findings.append(Finding("recipe", str(error), ""))
    findings.sort(key=lambda finding: not finding.fatal)
    return Checkup(names, splits, findings, shapes, weights, activations, measured)


def refuse_faults(recipe: Recipe, built: Built, device: torch.device) -> None:
    """The part of `check` that every run begins with: seconds, before hours.

    One step at the crop size; every image that will be scored, since one bad file would end a validation; and
    an even sample of the training images, or all of them where the sample makes labels look wrong as a whole.

    Raises:
        ValueError: If a shape does not fit, a term teaches nothing, or files or labels are faulty; names the first few.
    """
    refuse_silent(recipe, built, device)
    workers = max(1, recipe.data.num_workers)
    train_set, *more = divided(built.train_set)
    scored = {dataset.split: dataset for dataset in (built.val_set, built.test_set) if dataset is not None}
    splits = {name: scan(dataset, num_workers=workers) for name, dataset in scored.items()}
    for dataset in more:
        splits["unlabelled"] = scan(evenly(dataset, NUM_SAMPLED), num_workers=workers)
    own = recipe.data.dataset in OWN_CLASSES
    sampled = len(train_set) > NUM_SAMPLED
    splits = {"train": scan(evenly(train_set, NUM_SAMPLED), num_workers=workers)} | splits
    findings = judge_labels(splits, built.labels, own=own, sampled=sampled)
    if sampled and any(finding.fatal and finding.kind in OF_ALL for finding in findings):
        logger.info("Reading all %d training images: the labels of %d look wrong.", len(train_set), NUM_SAMPLED)
        splits["train"] = scan(train_set, num_workers=workers)
        findings = judge_labels(splits, built.labels, own=own)
    for finding in findings:
        if not finding.fatal:
            logger.info("%s", finding)
    faults = [str(finding) for finding in findings if finding.fatal]
    if faults:
        first = " ".join(faults[:3])
        rest = f" And {len(faults) - 3} more: segdistill check lists all." if len(faults) > 3 else ""
        raise ArgumentError(f"the data has faults: {first}{rest}")


def refuse_silent(recipe: Recipe, built: Built, device: torch.device) -> None:
    """One step at the crop size, and every term on random maps.

    Raises:
        ValueError: If a shape does not fit.
        RecipeError: If a term, or a part of one, can teach the student nothing.
    """
    silent = _silent(built, recipe, _step(built, recipe, device))
    if silent:
        raise RecipeError(" ".join(map(str, silent)))


def try_step(built: Built, recipe: Recipe, device: torch.device) -> tuple[list[Shapes], int]:
    """One forward pass over a random crop, without data.

    Returns:
        Shapes, and the bytes that a micro-batch keeps for the backward pass.

    Raises:
        ValueError: If a shape does not fit.
    """
    step = _step(built, recipe, device)
    return step.shapes, step.activation_bytes


class _Step(NamedTuple):
    student: SegOutput
    teachers: dict[str, SegOutput]
    activation_bytes: int

    @property
    def shapes(self) -> list[Shapes]:
        theirs: dict[str, tuple[int, ...]] = {}
        for output in reversed(self.teachers.values()):  # of several, the first that has such a map
            theirs |= {name: tuple(feature.shape) for name, feature in output.features.items()}
            if output.logits.shape[1]:
                theirs["logits"] = tuple(output.logits.shape)
        ours = {"logits": self.student.logits, **self.student.features}
        return [Shapes(name, tuple(each.shape), theirs.get(name)) for name, each in ours.items()]


def _step(built: Built, recipe: Recipe, device: torch.device) -> _Step:
    image = torch.rand(1, recipe.data.channels, *recipe.data.crop_size, device=device)
    labels = torch.full((1, *recipe.data.crop_size), IGNORE_INDEX, device=device)
    labels[..., 0] = 0
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    built.distiller.eval()  # running statistics stay as they are
    teachers = {name: teacher(image) for name, teacher in built.teachers.items()}
    fit_directions(built.distiller, [teachers])  # to noise; a training fits them to its images
    with watch_norms(built.distiller) as values, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        student = built.distiller(image, labels, teachers).student
    refuse_single_values(values, recipe)
    weights = {p.untyped_storage().data_ptr() for p in built.distiller.parameters()}
    bytes_per_image = sum(size for pointer, size in kept.items() if pointer not in weights)
    return _Step(student, teachers, bytes_per_image * recipe.data.batch_size // recipe.train.accumulate)


def _silent(built: Built, recipe: Recipe, step: _Step) -> list[Finding]:
    batch_size = max(1, recipe.data.batch_size // recipe.train.accumulate)
    return silent_terms(built.distiller, step.student, step.teachers, recipe.data.crop_size, batch_size)


def _scan_splits(
    recipe: Recipe, advance: Advance | None, sheet: Path | None
) -> tuple[Sequence[str], dict[str, ScanReport], list[Finding]]:
    data = recipe.data
    try:
        sets = [dataset for dataset in build_datasets(recipe) if dataset is not None]
        labels = sets[0].labels
        if data.unlabelled is not None:
            sets.append(unlabelled_source(data, "unlabelled", labels.names).dataset)
    except (ValueError, OSError) as error:
        return (), {}, [Finding("recipe", str(error), "")]
    found = {dataset.split: _scan_one(dataset, data.num_workers, advance) for dataset in sets}
    if sheet is not None:
        contact_sheet({dataset.split: dataset for dataset in sets}, found).save(sheet)
    findings = judge_labels(found, labels, own=data.dataset in OWN_CLASSES)
    findings += judge_sizes(found[data.train_split], data.crop_size, data.image_scale, data.scale_range)
    return labels.names, found, findings + judge_twins(found, (data.train_split, "unlabelled"))


def _picture_file(pictures: str | Path) -> Path:
    path = as_path("pictures", pictures)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ArgumentError(f"`pictures` must name a .png or .jpg file; got {str(path)!r}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _scan_one(dataset: SegmentationDataset, num_workers: int, advance: Advance | None) -> ScanReport:
    def progress(done: int, total: int) -> None:
        if advance is not None:
            advance(dataset.split, done, total)

    return scan(dataset, num_workers=num_workers, progress=progress, fingerprints=True)


def _feeding(built: Built) -> list[Finding]:
    """What a few training images say about how student and teacher are fed."""
    try:
        few = channel_statistics(evenly(divided(built.train_set)[0], NUM_MEASURED))
    except ArgumentError:  # no sample can be read, which has been said
        return []
    known = {"model": built.distiller.network.preprocessing}
    known |= {name: teacher.network.preprocessing for name, teacher in built.teachers.items()}
    return [
        finding
        for key, preprocessing in known.items()
        if preprocessing != AS_IT_IS  # a module of the user's own does it itself
        for finding in judge_feeding(few, preprocessing, key)
    ]


def _statistics(recipe: Recipe, advance: Advance | None) -> ChannelStatistics:
    def progress(done: int, total: int) -> None:
        if advance is not None:
            advance(f"{recipe.data.train_split}, channels", done, total)

    dataset = build_dataset(recipe.data, recipe.data.train_split)
    return channel_statistics(dataset, num_workers=recipe.data.num_workers, progress=progress)


def _weight_bytes(built: Built) -> int:
    """Trained weights, their gradients, and what the optimizer keeps for each."""
    copies = 3 if isinstance(built.optimizers[0], torch.optim.SGD) else 4
    return copies * sum(p.numel() * p.element_size() for p in built.distiller.parameters())
