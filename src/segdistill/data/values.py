"""The numbers that a mask file holds, before a class table has a say."""

from pathlib import Path

import numpy as np
from PIL import Image

from segdistill.data.base import SegmentationDataset
from segdistill.util import DataError


def mask_values(dataset: SegmentationDataset, path: Path) -> dict[int, int]:
    """Pixels of a mask by value; empty where the file holds no single numbers.

    Args:
        dataset: Knows how its masks are read.
        path: The mask. Values that do not fit in a byte are read from the file itself, negative ones too.
    """
    try:
        ids = np.asarray(dataset.read_ids(path))
    except DataError:
        try:
            with Image.open(path) as picture:
                if not picture.mode.startswith("I"):
                    return {}
                ids = np.asarray(picture)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return {}
    values, pixels = np.unique(ids, return_counts=True)
    return dict(zip(map(int, values), map(int, pixels), strict=True))
