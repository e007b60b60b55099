"""Exports of label tools, made by Datumaro's own writers."""

import warnings

import numpy as np
from PIL import Image

SIZE = (40, 60)
ROAD = (5, 20, 5, 30)  # top, bottom, left, right
SKY = (10, 35, 30, 55)
NAMES = ["sky", "road"]


def block(place, size=SIZE):
    """A binary mask."""
    top, bottom, left, right = place
    mask = np.zeros(size, np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def corners(place):
    """The same as a polygon."""
    top, bottom, left, right = place
    return [left, top, right, top, right, bottom, left, bottom]


def picture(seed=0, size=SIZE):
    return np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)


def polygon_and_mask(dm):
    """A sky as polygon, a road as mask, and a box, which no class mask can hold."""
    return [
        dm.Polygon(corners(SKY), label=0, id=1, group=1),
        dm.Mask(block(ROAD), label=1, id=2, group=2),
        dm.Bbox(1, 1, 10, 10, label=1, id=3, group=3),
    ]


def two_masks(dm):
    return [
        dm.Mask(block(SKY), label=0, id=1, group=1, z_order=0),
        dm.Mask(block(ROAD), label=1, id=2, group=2, z_order=1),
    ]


def write(dm, folder, form, annotations, *, names=NAMES, items=(("train", "a"), ("train", "b"), ("val", "c"))):
    """Export a few images of equal annotations."""
    data = [
        dm.DatasetItem(
            name, subset=split, media=dm.Image.from_numpy(picture(seed), ext=".png"), annotations=annotations
        )
        for seed, (split, name) in enumerate(items)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = dm.Dataset.from_iterable(data, categories=names, media_type=dm.Image)
        made.export(str(folder), form, save_media=True)
    return folder


def mask_of(folder, name, split="train"):
    return np.array(Image.open(folder / split / "masks" / f"{name}.png"))
