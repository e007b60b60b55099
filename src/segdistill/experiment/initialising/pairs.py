"""Pairs of folders that may be images and their masks, the likeliest first, and the options that open each."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from segdistill.data import MASK_SUFFIXES, Place, find_endings
from segdistill.experiment.initialising.tree import SPLIT, TRAIN, Roles, Tree

_IMAGES: Final = re.compile(
    r"(^|[/_\-])(images?|imgs?|photos?|pictures?|frames?|jpegimages|rgb|inputs?|x|data|leftimg8bit)s?($|[/_\-{])", re.I
)
_MASKS: Final = re.compile(
    r"(masks?|labels?|annot|annotations?|segmentation|gt|gtfine|ground.?truth|targets?|seg|segs|(^|[/_])y$)", re.I
)
_MOST: Final = 300  # places that are paired
_READ: Final = 4000  # names of a place that are looked at


def pairs_of(tree: Tree) -> Iterator[tuple[str, str, Roles]]:
    """Pairs of patterns with the splits that both have, those that are named like images and masks first."""
    places = tree.folders | tree.parents | tree.scenes
    names = sorted(places, key=lambda name: (name not in tree.scenes, len(Path(name).parts), name))[:_MOST]
    found = []
    for images, masks in itertools.product(names, names):
        roles = {role: word for role, word in places[images].items() if places[masks].get(role) == word}
        if (SPLIT in images) == (SPLIT in masks) and (TRAIN in roles or SPLIT not in images):
            depth = len(Path(images).parts) + len(Path(masks).parts)
            single = images not in tree.scenes
            found.append((strangeness(images, masks), single, depth, images, masks, roles))
    return ((images, masks, roles) for *_, images, masks, roles in sorted(found, key=lambda pair: pair[:5]))


def strangeness(images: str, masks: str) -> int:
    """How little two names look like images and their masks."""
    return (_MASKS.search(masks) is None) + (_IMAGES.search(images) is None) + (_MASKS.search(images) is not None)


def ways(tree: Tree, images: str, masks: str, roles: Roles) -> Iterator[dict[str, Any]]:
    """Options that open a pair of folders, without what says the split."""
    base = {"images": images, "masks": masks}
    one, other = (name.replace(SPLIT, roles.get(TRAIN, "")) for name in (images, masks))
    if images == masks:
        names = _names(tree.root, one)
        jpegs = [name for name in names if name.suffix.lower() in (".jpg", ".jpeg")]
        stems, pngs = _stems(jpegs), _stems(name for name in names if name.suffix.lower() in MASK_SUFFIXES)
        if stems & pngs:
            yield base | {"image_ending": jpegs[0].suffix, "mask_ending": ".png"}
        rests = _endings(sorted(stems | pngs), pngs)
        yield from (base | {"mask_ending": rest} for cut, rest in rests if rest and not cut)
        return
    yield base
    for cut, rest in _endings(sorted(_stems(_names(tree.root, one))), _stems(_names(tree.root, other))):
        if rest or cut:
            yield base | {"mask_ending": rest} | ({"image_ending": cut} if cut else {})


def _names(root: Path, place: str) -> list[Path]:
    """Files of a place, from it; of scenes, from above them."""
    folders = Place.of(root, place).folders().items()
    found = (Path(scene) / path.relative_to(folder) for scene, folder in folders for path in folder.rglob("*.*"))
    return [path for path in itertools.islice(found, _READ) if path.name[0] != "."]


def _stems(names: Iterable[Path]) -> set[str]:
    return {name.with_suffix("").as_posix() for name in names}


def _endings(images: list[str], masks: set[str]) -> list[tuple[str, str]]:
    """Endings that pair single images, the commonest first."""
    found: Counter[tuple[str, str]] = Counter()
    for name in images[:: max(1, len(images) // 20)]:
        found.update(pair for pair in find_endings([name], masks) if pair != ("", ""))
    return [pair for pair, _ in found.most_common(6)]
