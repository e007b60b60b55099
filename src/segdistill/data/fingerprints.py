"""The same picture twice: equal pixels, or the same picture saved again with loss or at another size."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from segdistill.data.preview import preview

SIDE: Final = 16
MAX_BITS: Final = 24
"""Of the 256 bits of two fingerprints so many may differ. CamVid, at JPEG quality 20: 20; its next two frames: 67."""
MAX_GREY: Final = 3.0
"""Mean difference of two thumbnails, in grey levels. CamVid, at JPEG quality 20: 1.1; other frames: 7 and more."""
MIN_CONTRAST: Final = 4.0
"""Pictures whose thumbnail varies less have no features to be told by: only equal pixels count."""


class Fingerprint(NamedTuple):
    """What is kept of an image to find it again.

    Attributes:
        path: Its file.
        digest: Of its pixels and size.
        bits: (32,) uint8: which of 16 x 16 places is brighter than its left neighbour, packed.
        grey: (256,) uint8, the image at 16 x 16 in grey.
    """

    path: Path
    digest: bytes
    bits: NDArray[np.uint8]
    grey: NDArray[np.uint8]


class Twins(NamedTuple):
    """One picture in two places; ``equal`` if its pixels are the same."""

    first: Path
    second: Path
    equal: bool


def fingerprint(path: Path, image: Tensor) -> Fingerprint:
    """The fingerprint of an image (C, H, W), of any depth."""
    pixels = np.ascontiguousarray(image.numpy().transpose(1, 2, 0))
    picture = Image.fromarray(np.ascontiguousarray(preview(image).numpy().transpose(1, 2, 0))).convert("L")
    steps = np.asarray(picture.resize((SIDE + 1, SIDE), Image.Resampling.BOX)).astype(np.int16)
    grey = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX)).ravel()
    digest = hashlib.blake2b(pixels.tobytes(), digest_size=16, salt=str(pixels.shape).encode()[:16]).digest()
    return Fingerprint(path, digest, np.packbits(steps[:, 1:] > steps[:, :-1]), grey)


def same_pictures(first: Sequence[Fingerprint], second: Sequence[Fingerprint]) -> Iterator[Twins]:
    """Pictures of ``second`` that are in ``first`` too, each once, in the order of ``second``.

    Args:
        first: Of a split.
        second: Of another.

    Yields:
        The pictures; those that differ in their digest are told by `MAX_BITS` and `MAX_GREY`.
    """
    if not first:
        return
    by_digest = {print_.digest: print_ for print_ in first}
    signs = _signs(first)
    for start in range(0, len(second), 256):
        chunk = second[start : start + 256]
        distances = (8 * len(chunk[0].bits) - _signs(chunk) @ signs.T) / 2
        for print_, row in zip(chunk, distances, strict=True):
            if print_.digest in by_digest:
                yield Twins(by_digest[print_.digest].path, print_.path, equal=True)
            elif (near := _nearest(print_, first, row)) is not None:
                yield Twins(near.path, print_.path, equal=False)


def _signs(prints: Sequence[Fingerprint]) -> NDArray[np.float32]:
    """(n, 256) of -1 and 1: their products count the bits that agree."""
    return 2 * np.unpackbits(np.stack([print_.bits for print_ in prints]), axis=1).astype(np.float32) - 1


def _nearest(print_: Fingerprint, others: Sequence[Fingerprint], row: NDArray[np.float32]) -> Fingerprint | None:
    """The other of the fewest bits apart, if it shows the same."""
    if print_.grey.std() < MIN_CONTRAST:
        return None
    near = sorted(np.flatnonzero(row <= MAX_BITS).tolist(), key=lambda place: float(row[place]))
    alike = (others[place] for place in near)
    return next((o for o in alike if np.abs(o.grey.astype(np.int16) - print_.grey).mean() <= MAX_GREY), None)
