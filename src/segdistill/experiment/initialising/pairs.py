"""Pairs of folders that may be images and their masks, the likeliest first, and the options that open each."""

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from segdistill.data import MASK_SUFFIXES, find_endings
from segdistill.experiment.initialising.tree import SPLIT, TRAIN, Roles, Tree

_IMAGES: Final = re.compile(
    r"(^|[/_\-])(images?|imgs?|photos?|pictures?|frames?|jpegimages|rgb|inputs?|x|data|leftimg8bit)s?($|[/_\-{])", re.I
)
_MASKS: Final = re.compile(
    r"(masks?|labels?|annot|annotations?|segmentation|gt|gtfine|ground.?truth|targets?|seg|segs|(^|[/_])y$)", re.I
)


def pairs_of(places: dict[str, Roles]) -> Iterator[tuple[str, str, Roles]]:
    """Pairs of patterns with the splits that both have, those that are named like images and masks first."""
    names = sorted(places)
    found = []
    for images, masks in itertools.product(names, names):
        roles = {role: word for role, word in places[images].items() if places[masks].get(role) == word}
        if (SPLIT in images) == (SPLIT in masks) and (TRAIN in roles or SPLIT not in images):
            depth = len(Path(images).parts) + len(Path(masks).parts)
            found.append((strangeness(images, masks), depth, images, masks, roles))
    return ((images, masks, roles) for _, _, images, masks, roles in sorted(found, key=lambda pair: pair[:4]))


def strangeness(images: str, masks: str) -> int:
    """How little two names look like images and their masks."""
    return (_MASKS.search(masks) is None) + (_IMAGES.search(images) is None) + (_MASKS.search(images) is not None)


def ways(tree: Tree, images: str, masks: str, roles: Roles) -> Iterator[dict[str, Any]]:
    """Options that open a pair of folders, without what says the split."""
    base = {"images": images, "masks": masks}
    one, other = (tree.root / name.replace(SPLIT, roles.get(TRAIN, "")) for name in (images, masks))
    if images == masks:
        names = [name for name in os.listdir(one) if not name.startswith(".")]
        stems = {Path(name).stem for name in names if name.lower().endswith((".jpg", ".jpeg"))}
        pngs = {Path(name).stem for name in names if name.lower().endswith(MASK_SUFFIXES)}
        if stems & pngs:
            jpeg = next(Path(name).suffix for name in names if name.lower().endswith((".jpg", ".jpeg")))
            yield base | {"image_ending": jpeg, "mask_ending": ".png"}
        rests = _endings(sorted(stems | pngs), pngs)
        yield from (base | {"mask_ending": rest} for cut, rest in rests if rest and not cut)
        return
    yield base
    images_, masks_ = (
        sorted(path.relative_to(top).with_suffix("").as_posix() for path in itertools.islice(top.rglob("*.*"), 4000))
        for top in (one, other)
    )
    for cut, rest in _endings(images_, set(masks_)):
        if rest or cut:
            yield base | {"mask_ending": rest} | ({"image_ending": cut} if cut else {})


def _endings(images: list[str], masks: set[str]) -> list[tuple[str, str]]:
    """Endings that pair single images, the commonest first."""
    found: Counter[tuple[str, str]] = Counter()
    for name in images[:: max(1, len(images) // 20)]:
        found.update(pair for pair in find_endings([name], masks) if pair != ("", ""))
    return [pair for pair, _ in found.most_common(6)]
