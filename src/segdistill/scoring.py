"""A network on a set of a recipe: its scores, over all processes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from segdistill.build import build_dataset, build_plan, build_protocol, load_predictor
from segdistill.config import Recipe
from segdistill.data import SegmentationDataset, eval_loader
from segdistill.engine.evaluate import Segment, evaluate, score
from segdistill.metrics.confusion import Scores


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Device and processes: alone, or as one of torchrun's."""
    device = recipe.train.device
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("`train.device` is cuda, but torch sees no GPU here. Set train.device=cpu.")
    cpu = device == "cpu" or not torch.cuda.is_available()
    return Accelerator(cpu=cpu, step_scheduler_with_optimizer=False)


def score_set(segment: Segment, dataset: SegmentationDataset, recipe: Recipe, accelerator: Accelerator) -> Scores:
    """Scores under the recipe's protocol and precision; every image counts once, whatever the processes."""
    protocol = build_protocol(recipe)
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
        protocol=protocol,
        precision=build_plan(recipe).precision,
    )
    if accelerator.num_processes > 1:
        confusion = accelerator.reduce(confusion, reduction="sum")
    return score(confusion, protocol)


def score_network(
    recipe: Recipe, network: Path, *, split: str | None = None, official: str | None = None
) -> dict[str, Any]:
    """Score a trained network on the data of a recipe.

    Args:
        recipe: Names the data and the protocol.
        network: Run folder, ``student.safetensors``, or a checkpoint of the paper's authors.
        split: Default: the recipe's test split, else its validation split.
        official: Which of the authors' networks.

    Returns:
        ``{"score", "protocol"}`` as in ``result.json``.
    """
    accelerator = make_accelerator(recipe)
    chosen = split or recipe.data.test_split or recipe.data.val_split or recipe.data.train_split
    dataset = build_dataset(recipe.data, chosen, paper=recipe.evaluate.protocol == "paper")
    predictor = load_predictor(network, official=official, labels=dataset.labels).to(accelerator.device)
    if len(predictor.names) != dataset.labels.num_classes:
        raise ValueError(
            f"the network must know the {dataset.labels.num_classes} classes of the data; {network} knows "
            f"{len(predictor.names)}."
        )
    result = score_set(predictor.segmenter(), dataset, recipe, accelerator)
    text = build_protocol(recipe).describe(
        recipe.data.dataset, chosen, len(dataset), len(predictor.names), recipe.data.image_scale
    )
    return {"score": named(result._asdict(), predictor.names), "protocol": text}


def named(val: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Scores with the IoU of each class under its name, as ``result.json`` has them."""
    return {**val, "per_class_iou": dict(zip(names, val["per_class_iou"], strict=True))}
