"""Public data sets, known by their folders and by what their masks hold."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from segdistill.data import DATASETS
from segdistill.experiment.initialising.layouts import Layout
from segdistill.experiment.initialising.tree import TEST, TRAIN, VAL
from segdistill.util import SegdistillError


class _Known(NamedTuple):
    title: str
    dataset: str
    needs: tuple[str, ...]
    options: Mapping[str, Any] = MappingProxyType({})
    tested: bool = False


_KNOWN: Final = (
    _Known("Cityscapes", "cityscapes", ("leftImg8bit/train", "leftImg8bit/val", "gtFine/train", "gtFine/val")),
    _Known(
        "Cityscapes with masks of train ids",
        "cityscapes",
        ("leftImg8bit/train", "leftImg8bit/val", "gtFine/train", "gtFine/val"),
        {"labels": "labelTrainIds"},
    ),
    _Known("CamVid", "camvid", ("train", "trainannot", "val", "valannot"), tested=True),
    _Known(
        "Pascal VOC Aug",
        "voc",
        ("JPEGImages", "SegmentationClass", "SegmentationClassAug", "ImageSets/Segmentation/val.txt"),
    ),
    _Known("ADE20K", "ade20k", ("images/training", "annotations/training", "annotations/validation")),
    _Known(
        "ADE20K, with 255 as void",
        "ade20k",
        ("images/training", "annotations/training", "annotations/validation"),
        {"ignore": [255]},
    ),
    _Known("COCO-Stuff", "coco_stuff", ("images/train2017", "annotations/train2017", "annotations/val2017")),
)
_SAMPLED: Final = 12
_LEAST: Final = 5  # classes in these: fewer are another's data in such folders


def find_public(root: Path) -> Layout | None:
    """The public data set that lies here, if its first samples can be read as one."""
    for known in _KNOWN:
        if all((root / name).exists() for name in known.needs):
            layout = _try(root, known)
            if layout is not None:
                return layout
    return None


def _try(root: Path, known: _Known) -> Layout | None:
    open_ = DATASETS[known.dataset]
    roles = {TRAIN: "train", VAL: "val"}
    if known.tested and (root / "test").is_dir() and (root / "testannot").is_dir():
        roles[TEST] = "test"
    try:
        sets = {role: open_(root, word, **known.options) for role, word in roles.items()}
        seen: set[int] = set()
        for dataset in sets.values():
            for index in range(0, len(dataset), -(-len(dataset) // _SAMPLED)):
                seen.update(dataset.load(index)[1].unique().tolist())
    except (SegdistillError, OSError, TypeError):
        return None
    if len(seen) < _LEAST:
        return None
    samples = {role: list(dataset.samples) for role, dataset in sets.items()}
    leftover = list(sets[TRAIN].unpaired)
    return Layout(known.dataset, roles, dict(known.options), samples, known.title, leftover)
