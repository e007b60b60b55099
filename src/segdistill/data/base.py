"""What every data set shares: its samples, the way from a mask's ids to train ids, and the class to derive from."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from torch.utils.data import Dataset
from torchvision import tv_tensors

from segdistill.data.pictures import ByteMap, IdMap, read_image, read_mask
from segdistill.labels import LARGEST_ID, LabelTable
from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError, DataError, ranges, shorten

Sample: TypeAlias = tuple[Path, Path | None]


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
        ignore_others: Whether ids that ``labels`` does not have do not count; else they are errors.

    Attributes:
        channels: Of its images, see `read_image`. Default: 3, red, green and blue.
        groups: The drives, patients or scenes that its images are of, where that is known: no two splits may share one.

    Raises:
        ValueError: If the split is unknown.
    """

    splits: ClassVar[tuple[str, ...]] = ()
    root: Path = Path()
    split: str
    labels: LabelTable
    samples: Sequence[Sample] = ()
    unpaired: Sequence[Path] = ()
    channels: int = 3
    groups: Collection[str] = ()

    def __init__(
        self,
        root: Path | str,
        split: str,
        *,
        labels: LabelTable,
        samples: Sequence[Sample],
        unpaired: Sequence[Path] = (),
        ignore_others: bool = False,
    ) -> None:
        self.check_split(split)
        self.root, self.split, self.labels = Path(root), split, labels
        self.samples, self.unpaired = list(samples), list(unpaired)
        self._known = np.full(LARGEST_ID + 1, ignore_others)
        self._train_id = np.full(LARGEST_ID + 1, IGNORE_INDEX, dtype=np.uint8)
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
        if index not in range(len(self)):  # which ends a `for` loop
            raise IndexError(f"`index` must be from 0 to {len(self) - 1}; got {index}.")
        return self.load(index)

    def path(self, index: int) -> Path:
        """The image file of sample ``index``, or a made-up name, for messages and output files."""
        return self.samples[index][0] if self.samples else Path(f"{self.split}_{index:06d}")

    def load(self, index: int) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        """Decode one sample at its native size.

        Args:
            index: Position in ``samples``, 0 <= index < len.

        Returns:
            The image, (C, H, W), uint8 or float32 from 0 to 1 (see `read_image`), and its train ids, (H, W) uint8,
            ``IGNORE_INDEX`` where a pixel does not count (everywhere, for an unlabelled image).

        Raises:
            DataError: If a file is missing or corrupt, sizes differ, or the mask holds an unknown id.
        """
        image_path, mask_path = self.samples[index]
        image = read_image(image_path, channels=self.channels)
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
        return image, tv_tensors.Mask(torch.from_numpy(self.to_train_ids(ids, mask_path)))

    def read_ids(self, path: Path) -> IdMap:
        """Read a mask file as class ids, (H, W) uint8 or uint16; override it for other encodings."""
        return read_mask(path)

    def to_train_ids(self, ids: IdMap, path: Path) -> ByteMap:
        """Translate the ids of a mask; ``path`` is the file they come from, for messages."""
        if not self._known.take(ids).all():  # `take` is several times faster than indexing
            unknown = ids[~self._known[ids]]
            found = np.unique(unknown).tolist()
            raise DataError(
                path,
                f"holds ids that `{self.labels.name}` does not have: {shorten(found)} "
                f"(allowed: {ranges(np.flatnonzero(self._known).tolist())}), "
                f"in {unknown.size:,} of {ids.size:,} pixels",
                self.unknown_ids_remedy(found),
            )
        train_ids: ByteMap = self._train_id.take(ids)
        return train_ids

    def unknown_ids_remedy(self, ids: Sequence[int]) -> str:
        """What to do about ids that the class table does not have; override it where the table is the user's."""
        return "Correct the mask, or check that the class list is that of these masks."
