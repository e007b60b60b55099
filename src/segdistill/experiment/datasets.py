"""The data sets of a recipe."""

import inspect
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from segdistill.data import DATASETS, Images, Prepared, SegmentationDataset, Source
from segdistill.experiment.keys import about, keys_of
from segdistill.recipe import DataConfig, Recipe
from segdistill.util import RecipeError, nearest, quote


def build_datasets(
    recipe: Recipe,
) -> tuple[SegmentationDataset, SegmentationDataset | None, SegmentationDataset | None]:
    """Training, validation and test set.

    Under the paper protocol the weights are chosen on the set that is reported, as the authors did.
    """
    data, paper = recipe.data, recipe.evaluate.protocol == "paper"
    val_split, test_split = data.val_split, data.test_split
    if paper and test_split is not None:
        val_split, test_split = test_split, None
    splits = (data.train_split, val_split, test_split)
    train_set, val_set, test_set = (None if s is None else build_dataset(data, s, paper=paper) for s in splits)
    assert train_set is not None
    _refuse_shared_groups([dataset for dataset in (train_set, val_set, test_set) if dataset is not None])
    return train_set, val_set, test_set


def build_dataset(data: DataConfig, split: str, *, paper: bool = False) -> SegmentationDataset:
    """One split of the recipe's data set, read from its cache if it has one."""
    return open_source(_build_source(data, split, paper=paper), data)


def build_sources(recipe: Recipe) -> list[Source]:
    """Everything that a recipe reads images from, for `prepare`."""
    data, paper = recipe.data, recipe.evaluate.protocol == "paper"
    splits = [split for split in (data.train_split, data.val_split, data.test_split) if split is not None]
    sources = [_build_source(data, split, paper=paper) for split in dict.fromkeys(splits)]
    return sources if data.unlabelled is None else [*sources, unlabelled_source(data)]


def open_source(source: Source, data: DataConfig) -> SegmentationDataset:
    """The samples of a source, read from the recipe's cache if it has one."""
    return source.dataset if data.cache is None else Prepared(source, data.cache)


def unlabelled_source(data: DataConfig, split: str = "train", classes: Sequence[str] = ("unlabeled",)) -> Source:
    """Images without labels, as part of the training set; a list names files of the data set's folder of images."""
    assert data.unlabelled is not None
    folder = Path(data.root or "") / str(data.options.get("images", "images"))
    images = folder if data.dataset == "folder" and folder.is_dir() else None
    return Source("images", {}, _with_channels(Images(data.unlabelled, split, classes=classes, images=images), data))


def _build_source(data: DataConfig, split: str, *, paper: bool) -> Source:
    if data.dataset not in DATASETS:
        raise RecipeError(
            f"`data.dataset` must be a known data set; got {data.dataset!r}. {nearest(data.dataset, DATASETS)}"
        )
    kind = DATASETS[data.dataset]
    options = dict(data.options)
    if paper and data.dataset == "coco_stuff":
        options.setdefault("classes", 182)
    _check_options(kind, options, "data.options")
    if data.root is None and inspect.signature(kind).parameters["root"].default is inspect.Parameter.empty:
        raise RecipeError(
            f"`data.root` must be the folder of the data set {data.dataset!r}; got null. Add data.root=FOLDER."
        )
    try:
        with about(keys_of("data.options", options)):
            dataset = kind(data.root, split, **options)
    except TypeError as error:  # an option of another type than the data set expects
        raise RecipeError(f"`data.options` must fit the data set {data.dataset!r}; got {options} ({error}).") from None
    return Source(data.dataset, options, _with_channels(dataset, data))


def _with_channels(dataset: SegmentationDataset, data: DataConfig) -> SegmentationDataset:
    """Let a data set read as many channels as the recipe says."""
    if data.channels != 3 and not dataset.samples:
        raise RecipeError(f"`data.channels` must be 3 for the data set {data.dataset!r}; got {data.channels}.")
    dataset.channels = data.channels
    return dataset


def _refuse_shared_groups(sets: Sequence[SegmentationDataset]) -> None:
    for one, other in combinations(sets, 2):
        shared = sorted({*one.groups} & {*other.groups})
        if shared and one.split != other.split:
            raise RecipeError(
                f"`data.options.group` must keep each group in one split; {one.split} and {other.split} share "
                f"{len(shared)} of {len({*one.groups} | {*other.groups})}: {quote(shared, 4)}. Correct the lists or "
                "folders, or let whole groups be drawn: `data.options.shares: {val: 0.2}`."
            )


def _check_options(kind: Callable[..., Any], options: dict[str, Any], key: str) -> None:
    known = [name for name in inspect.signature(kind).parameters if name not in ("root", "split")]
    for name in options:
        if name not in known:
            raise RecipeError(
                f"`{key}.{name}` is not an option of {getattr(kind, '__name__', kind)}. {nearest(name, known)}"
            )
