"""What every data set shares: two errors, decoding, the label map, and the class to derive from.

Files are decoded with Pillow: the image decoders of ``torchvision.io`` are deprecated since 0.29, and Pillow
gives the indices of palette masks.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch.utils.data import Dataset
from torchvision import tv_tensors

from segdistill.labels import LabelTable
from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError, DataError

ByteMap: TypeAlias = NDArray[np.uint8]
Sample: TypeAlias = tuple[Path, Path | None]

_IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_MASK_FORMATS = ("PNG", "BMP", "TIFF")
_SHOWN = 8


def some(values: Sequence[object]) -> str:
    """Join the first few values for a message.

    >>> some(range(10))
    '0, 1, 2, 3, 4, 5, 6, 7 and 2 more'
    """
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(str(value) for value in values[:_SHOWN]) + more


def _open(path: Path, formats: tuple[str, ...], kind: str) -> Image.Image:
    """Read and fully decode a picture; every way to fail becomes a ``DataError``."""
    try:
        # From memory, since Pillow leaves a file open when decoding fails.
        picture = Image.open(io.BytesIO(path.read_bytes()), formats=formats)
        picture.load()
    except FileNotFoundError:
        raise DataError(path, "does not exist", f"Restore this {kind}, or remove its counterpart.") from None
    except UnidentifiedImageError:
        reason = "unknown format"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    else:
        return picture
    raise DataError(
        path, f"cannot be decoded as {kind} ({reason})", f"Replace it by an undamaged {' or '.join(formats)} file."
    )


def read_image(path: Path) -> tv_tensors.Image:
    """Read a picture as RGB, turned upright as its EXIF orientation says.

    Args:
        path: A JPEG, PNG, WebP, BMP or TIFF file. Alpha is dropped, grey is repeated.

    Returns:
        (3, H, W), uint8: a view of (H, W, 3) in memory, which resizes several times faster than planes do.

    Raises:
        DataError: If the file is missing or cannot be decoded.
    """
    picture = _open(path, _IMAGE_FORMATS, "image")
    if picture.mode.startswith(("I", "F")):
        raise DataError(path, "has more than 8 bits per channel", "Convert the image to 8 bits per channel.")
    ImageOps.exif_transpose(picture, in_place=True)
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    return tv_tensors.Image(torch.from_numpy(np.array(rgb)).permute(2, 0, 1))


def read_mask(path: Path) -> ByteMap:
    """Read a one-channel mask as stored: grey values, or the indices (not the colours) of a palette.

    Args:
        path: A PNG, BMP or TIFF file; not JPEG, whose compression alters labels.

    Returns:
        (H, W), uint8 ids.

    Raises:
        DataError: If the file is missing, cannot be decoded, has several channels or ids above 255.
    """
    picture = _open(path, _MASK_FORMATS, "mask")
    ids = np.array(picture)
    if ids.ndim != 2 or ids.dtype.kind == "f":
        raise DataError(
            path,
            f"must have one channel of class ids; it has the mode {picture.mode}",
            "Save it as an 8-bit grey or palette PNG; a `folder` data set also converts RGB by its `colors`.",
        )
    if ids.dtype not in (np.uint8, np.bool_) and (ids.min() < 0 or ids.max() > 255):
        raise DataError(
            path, f"holds ids up to {ids.max()}; 255 is the largest", "Save the mask with 8 bits per pixel."
        )
    return ids.astype(np.uint8)


class SegmentationDataset(Dataset[tuple[tv_tensors.Image, tv_tensors.Mask]]):
    """Images and class masks of one split.

    A data set on disk passes its ``samples`` and is done; one without files overrides ``__len__`` and
    ``load``. Loading keeps no state, so that threads and processes may share a data set.

    Args:
        root: The folder of the data set.
        split: One of ``splits``, unless that is empty.
        labels: Its classes; ids in masks become train ids through ``labels.id_to_train_id``.
        samples: Image and mask files in a fixed order; a mask of None is an unlabelled image.
        unpaired: Masks that belong to no image; only ``scan`` looks at them.

    Raises:
        ValueError: If the split is unknown.
    """

    splits: ClassVar[tuple[str, ...]] = ()
    root: Path = Path()
    split: str
    labels: LabelTable
    samples: Sequence[Sample] = ()
    unpaired: Sequence[Path] = ()

    def __init__(
        self,
        root: Path | str,
        split: str,
        *,
        labels: LabelTable,
        samples: Sequence[Sample],
        unpaired: Sequence[Path] = (),
    ) -> None:
        self.check_split(split)
        self.root, self.split, self.labels = Path(root), split, labels
        self.samples, self.unpaired = list(samples), list(unpaired)
        self._known = np.zeros(256, dtype=np.bool_)
        self._train_id = np.full(256, IGNORE_INDEX, dtype=np.uint8)
        for label_id, train_id in labels.id_to_train_id.items():
            self._known[label_id], self._train_id[label_id] = True, train_id

    @classmethod
    def check_split(cls, split: str) -> None:
        """Raise a ``ValueError`` that lists the splits if ``split`` is none of them."""
        if cls.splits and split not in cls.splits:
            raise ArgumentError(f"`split` must be one of {', '.join(cls.splits)}; got {split!r}.")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        return self.load(index)

    def path(self, index: int) -> Path:
        """The image file of sample ``index``, or a made-up name, for messages and output files."""
        return self.samples[index][0] if self.samples else Path(f"{self.split}_{index:06d}")

    def load(self, index: int) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        """Decode one sample at its native size.

        Args:
            index: Position in ``samples``, 0 <= index < len.

        Returns:
            The image, (3, H, W) uint8 RGB, and its train ids, (H, W) uint8, ``IGNORE_INDEX`` where a pixel
            does not count (everywhere, for an unlabelled image).

        Raises:
            DataError: If a file is missing or corrupt, sizes differ, or the mask holds an unknown id.
        """
        image_path, mask_path = self.samples[index]
        image = read_image(image_path)
        height, width = image.shape[-2:]
        if mask_path is None:
            return image, tv_tensors.Mask(torch.full((height, width), IGNORE_INDEX, dtype=torch.uint8))
        ids = self.read_ids(mask_path)
        if ids.shape != (height, width):
            raise DataError(
                mask_path,
                f"must have the size of its image `{image_path}`, {height}x{width} (height x width); "
                f"got {ids.shape[0]}x{ids.shape[1]}",
                "Export the mask again at the image's size, upright as the image's EXIF orientation says.",
            )
        return image, tv_tensors.Mask(torch.from_numpy(self._to_train_ids(ids, mask_path)))

    def read_ids(self, path: Path) -> ByteMap:
        """Read a mask file as class ids, (H, W) uint8; override it for other encodings."""
        return read_mask(path)

    def _to_train_ids(self, ids: ByteMap, path: Path) -> ByteMap:
        if not self._known.take(ids).all():  # `take` is several times faster than indexing
            found = np.unique(ids[~self._known[ids]]).tolist()
            raise DataError(
                path,
                f"holds ids that `{self.labels.name}` does not have: {some(found)} "
                f"(allowed: {_ranges(np.flatnonzero(self._known).tolist())})",
                "Correct the mask, or check that the class list is that of these masks.",
            )
        train_ids: ByteMap = self._train_id.take(ids)
        return train_ids


def _ranges(ids: Sequence[int]) -> str:
    """Write sorted ids compactly.

    >>> _ranges([0, 1, 2, 5, 255])
    '0-2, 5, 255'
    """
    runs: list[list[int]] = []
    for label_id in ids:
        if runs and label_id == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], label_id]
        else:
            runs.append([label_id, label_id])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
