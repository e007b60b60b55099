"""The annotations of an image become one class mask."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from segdistill.types import IGNORE_INDEX

Bits = NDArray[np.bool_]
Mask = NDArray[np.uint16]

AREAS: Final = ("polygon", "mask", "ellipse")
"""Kinds of annotations that are areas of pixels; Datumaro's names."""

_FURTHEST: Final = 4
"""A polygon may reach so many times the image's size beyond it. Those further out are damaged."""


class Unfit(Exception):
    """Annotations that do not belong to their image; the message says why."""


def id_of(index: int) -> int:
    """The id of a class by its place: 255 is left out, which does not count.

    >>> id_of(254), id_of(255)
    (254, 256)
    """
    return index if index < IGNORE_INDEX else index + 1


def areas_of(annotations: Sequence[Any], ids: Sequence[int], lost: Counter[str]) -> list[tuple[Any, int]]:
    """The areas that have a class, with its id, in the order of drawing; all else is counted as lost.

    By ``z_order`` where the format has one; within it larger areas first, so that smaller objects stay visible. A box
    that comes with an area of the same group, as in COCO, is no loss.
    """
    kinds = [annotation.type.name for annotation in annotations]
    grouped = {each.group for each, kind in zip(annotations, kinds, strict=True) if kind in AREAS and each.group}
    drawn: list[tuple[Any, int]] = []
    for annotation, kind in zip(annotations, kinds, strict=True):
        if kind in AREAS:
            label = annotation.label
            if label is None or not 0 <= label < len(ids):
                lost[f"{kind} without a class"] += 1
            else:
                drawn.append((annotation, ids[label]))
        elif not (kind == "bbox" and annotation.group in grouped):
            lost[kind] += 1
    return sorted(drawn, key=lambda each: (int(each[0].z_order or 0), -_area(each[0])))


def draw(areas: Sequence[tuple[Any, int]], size: tuple[int, int], empty: int, lost: Counter[str]) -> Mask:
    """One mask, (H, W), of ids; ``empty`` where there is no area.

    Raises:
        Unfit: If a mask has another size than the image.
    """
    mask = np.full(size, empty, np.uint16)
    for annotation, number in areas:
        kind = annotation.type.name
        bits = _bits(annotation, size) if kind == "mask" else _filled(annotation.as_polygon(), size)
        if bits is None:
            lost[f"damaged {kind}"] += 1
        else:
            mask[bits] = number
    return mask


def declared_size(item: Any, areas: Sequence[tuple[Any, int]]) -> tuple[int, int] | None:
    """Height and width as the annotations know them, if they do."""
    if getattr(item.media, "has_size", False):
        height, width = item.media.size
        return int(height), int(width)
    return next((_shape(annotation) for annotation, _ in areas if annotation.type.name == "mask"), None)


def _shape(annotation: Any) -> tuple[int, int]:
    encoded = getattr(annotation, "rle", None)
    height, width = encoded["size"] if encoded is not None else annotation.image.shape[:2]
    return int(height), int(width)


def _bits(annotation: Any, size: tuple[int, int]) -> Bits | None:
    shape = _shape(annotation)  # of RLE before it is decoded
    if shape != size:
        raise Unfit("a mask has another size than the image")
    bits = np.asarray(annotation.image)
    return bits.astype(bool) if bits.shape == size else None


def _filled(points: Sequence[float], size: tuple[int, int]) -> Bits | None:
    """A polygon as COCO's own tools fill it."""
    from pycocotools import mask as coco

    flat = np.asarray(points, dtype=float)
    reach = _FURTHEST * max(size)
    if len(flat) < 6 or len(flat) % 2 or not np.isfinite(flat).all() or np.abs(flat).max() > reach:
        return None
    (encoded,) = coco.frPyObjects([flat.tolist()], *size)
    decoded: Bits = coco.decode(encoded).astype(bool)
    return decoded


def _area(annotation: Any) -> float:
    try:
        return float(annotation.get_area())
    except (ValueError, ArithmeticError, IndexError):
        return 0.0
