"""Masks that are pictures: colours translated to ids."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from segdistill.data.pictures import ByteMap, IdMap, read_colors
from segdistill.util import ArgumentError, DataError, shorten

Ints: TypeAlias = NDArray[np.int64]


class ColorCode:
    """Which colour means which id.

    Args:
        colors: Red, green and blue, 0 to 255.
        ids: One a colour.
        unknown: The id of every other colour; None if these are errors.

    Raises:
        ValueError: If two colours are the same.
    """

    def __init__(self, colors: Sequence[Sequence[int]], ids: Sequence[int], *, unknown: int | None = None) -> None:
        codes = _codes(np.asarray(colors, dtype=np.int64))
        order = np.argsort(codes)
        self._unknown = unknown
        self._codes, self._ids = codes[order], np.asarray(ids, dtype=np.uint16)[order]
        if len(np.unique(codes)) < len(codes):
            raise ArgumentError(f"`colors` must differ from each other; got {[list(color) for color in colors]}.")

    def read(self, path: Path) -> IdMap:
        """Read a mask of colours as ids, (H, W).

        Raises:
            DataError: If it cannot be read, or holds a colour of no class.
        """
        codes = _codes(read_colors(path))
        position = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        known = self._codes[position] == codes
        if self._unknown is not None:
            return np.where(known, self._ids[position], np.uint16(self._unknown))
        strange = codes[~known]
        if strange.size:
            shown = shorten([[code >> 16, code >> 8 & 255, code & 255] for code in np.unique(strange).tolist()])
            raise DataError(
                path,
                f"holds colours that `colors` does not have: {shown}, in {strange.size:,} of {codes.size:,} pixels",
                "Add them, correct the mask (blurred edges come from resizing or JPEG), or leave out every colour "
                "without a class: `data.options.others: ignore`.",
            )
        ids: IdMap = self._ids[position]
        return ids


def _codes(rgb: Ints | ByteMap) -> Ints:
    """Colours (..., 3) as single numbers."""
    wide = rgb.astype(np.int64)
    codes: Ints = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return codes
