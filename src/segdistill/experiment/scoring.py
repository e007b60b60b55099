"""A network on a set of a recipe: its scores, over all processes."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from segdistill.data import SegmentationDataset, eval_loader
from segdistill.engine import Segment, evaluate, score
from segdistill.experiment.classes import in_order
from segdistill.experiment.datasets import build_dataset
from segdistill.experiment.devices import for_device
from segdistill.experiment.environment import environment_of
from segdistill.experiment.settings import build_plan, build_protocol
from segdistill.metrics import (
    BOUNDARY_RULE,
    Scores,
    boundary_counts,
    boundary_scores,
    confusion_matrix,
    empty_boundary_counts,
    scores,
)
from segdistill.networks import Exported
from segdistill.prediction import Predictor, load_predictor
from segdistill.recipe import Recipe, change_recipe
from segdistill.store import Boundary, ImageScore, Score
from segdistill.types import Batch
from segdistill.util import ArgumentError


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Device and processes: alone, or as one of torchrun's."""
    device = recipe.train.device
    if device == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("`train.device` is cuda, but torch sees no GPU here. Set train.device=cpu.")
    cpu = device == "cpu" or not torch.cuda.is_available()
    # The recipe's precision alone counts, whatever `accelerate launch` was told.
    return Accelerator(cpu=cpu, mixed_precision="no", step_scheduler_with_optimizer=False)


def score_set(
    segment: Segment,
    dataset: SegmentationDataset,
    recipe: Recipe,
    accelerator: Accelerator,
    known: Sequence[int] | None = None,
) -> Scores:
    """Scores under the recipe's protocol and precision; every image counts once, whatever the processes.

    Args:
        segment: The network.
        dataset: The images.
        recipe: Protocol and precision.
        accelerator: Device and processes.
        known: Train ids that the score is over; pixels of other labels do not count. Default: all.
    """
    confusion = _confusion(segment, dataset, recipe, accelerator, None)
    if known is not None:
        confusion = confusion[list(known)][:, list(known)]
    return score(confusion, build_protocol(recipe))


def _confusion(
    segment: Segment,
    dataset: SegmentationDataset,
    recipe: Recipe,
    accelerator: Accelerator,
    on_image: Callable[[Batch, Tensor], None] | None,
) -> Tensor:
    """Confusion matrix over all processes."""
    loader = eval_loader(
        dataset,
        num_workers=recipe.data.num_workers,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
        image_scale=recipe.data.image_scale,
    )
    confusion = evaluate(
        segment,
        loader,
        num_classes=dataset.labels.num_classes,
        device=accelerator.device,
        protocol=build_protocol(recipe),
        precision=build_plan(recipe).precision,
        on_image=on_image,
    )
    if accelerator.num_processes > 1:
        confusion = accelerator.reduce(confusion, reduction="sum")
    return confusion


class Examination(NamedTuple):
    """All that one pass over a set tells.

    Attributes:
        score: Boundary scores if asked for.
        confusion: (K, K) counts, rows are the truth.
        images: Name and mIoU of every image, in the order of the set; None where an image has no label.
    """

    score: Score
    confusion: Tensor
    images: list[ImageScore]


def examine_set(
    segment: Segment, dataset: SegmentationDataset, recipe: Recipe, accelerator: Accelerator
) -> Examination:
    """As `score_set`, with boundary scores and the score of every image; the same on all processes."""
    num_classes, boundary = dataset.labels.num_classes, recipe.evaluate.boundary
    rank, step = accelerator.process_index, accelerator.num_processes
    indices = iter(range(rank, len(dataset), step))
    images: list[tuple[int, ImageScore]] = []
    counts = empty_boundary_counts(num_classes).to(accelerator.device)

    def on_image(batch: Batch, prediction: Tensor) -> None:
        nonlocal counts
        index = next(indices)
        own = confusion_matrix(prediction, batch.target, num_classes).cpu()
        miou = scores(own).miou if own.any() else None
        images.append((index, ImageScore(name=dataset.path(index).name, miou=miou)))
        if boundary:
            counts += boundary_counts(prediction, batch.target, num_classes)

    confusion = _confusion(segment, dataset, recipe, accelerator, on_image)
    if step > 1:
        counts = accelerator.reduce(counts, reduction="sum")
        images = gather_object(images)
    names = dataset.labels.names
    found = score(confusion, build_protocol(recipe))
    result = Score(
        miou=found.miou,
        pixel_accuracy=found.pixel_accuracy,
        per_class_iou=dict(zip(names, found.per_class_iou, strict=True)),
        boundary=_boundary(counts, names) if boundary else None,
    )
    return Examination(result, confusion.cpu(), [image for _, image in sorted(images, key=itemgetter(0))])


def _boundary(counts: Tensor, names: Sequence[str]) -> Boundary:
    edges = boundary_scores(counts)
    return Boundary(
        iou=edges.iou,
        f=edges.f,
        per_class_iou=dict(zip(names, edges.per_class_iou, strict=True)),
        per_class_f=dict(zip(names, edges.per_class_f, strict=True)),
        rule=BOUNDARY_RULE,
    )


def score_network(
    recipe: Recipe,
    network: Path,
    *,
    split: str | None = None,
    official: str | None = None,
    student: nn.Module | str | None = None,
) -> dict[str, Any]:
    """Score a trained network on the data of a recipe.

    Args:
        recipe: Names the data and the protocol.
        network: Run folder, ``student.safetensors``, or a checkpoint of the paper's authors.
        split: Default: the recipe's test split, else its validation split.
        official: Which of the authors' networks.
        student: The module, where the network came from a user's own code.

    Returns:
        ``{"score", "protocol"}`` as in ``result.json``.
    """
    accelerator = make_accelerator(recipe)
    run = network if network.is_dir() else network.parent
    recipe = for_device(recipe, accelerator.device, environment_of(run))  # in the precision of its training
    chosen = split or recipe.data.test_split or recipe.data.val_split or recipe.data.train_split
    dataset = build_dataset(recipe.data, chosen, paper=recipe.evaluate.protocol == "paper")
    predictor = load_predictor(
        network, source=official and "official", name=official, labels=dataset.labels, student=student
    )
    predictor.to(accelerator.device)
    return score_predictor(recipe, predictor, dataset, chosen, accelerator, name=f"the network {network}")


def score_predictor(
    recipe: Recipe,
    predictor: Predictor,
    dataset: SegmentationDataset,
    split: str,
    accelerator: Accelerator,
    *,
    name: str,
) -> dict[str, Any]:
    """Score a network that is at hand, under the protocol of a recipe.

    Args:
        recipe: Protocol and precision.
        predictor: The network, on the device.
        dataset: The images.
        split: What they are called.
        accelerator: Device and processes.
        name: What messages call the network.
    """
    segment = in_order(name, predictor.network, dataset.labels)
    fed = recipe
    if isinstance(predictor.network.module, Exported):  # which takes whole images, and resizes by itself
        fed = change_recipe(recipe, {}, ["data.image_scale=1"])
    examined = examine_set(segment, dataset, fed, accelerator)
    text = build_protocol(recipe).describe(
        recipe.data.dataset, split, len(dataset), len(predictor.names), recipe.data.image_scale
    )
    return {"score": examined.score.as_json(), "protocol": text}
