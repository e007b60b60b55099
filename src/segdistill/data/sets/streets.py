"""Street scenes drawn by a program: a segmentation data set that needs no download."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torchvision import tv_tensors

from segdistill.data.base import SegmentationDataset
from segdistill.data.pictures import ByteMap
from segdistill.data.streets.scene import draw_scene
from segdistill.labels import LabelTable, hex_colors
from segdistill.util import ArgumentError

STREETS_LABELS: Final = LabelTable.from_names(
    ["sky", "building", "vegetation", "road", "pavement", "car", "person", "pole", "sign"],
    hex_colors("4682b4 464646 6b8e23 804080 f423e8 00008e dc143c 999999 dcdc00"),
    name="streets",
)
"""The 9 classes of the procedural street scenes; 255 is drawn straight into targets."""

STREETS_VERSION: Final = 1
"""Raised whenever a scene changes by a single pixel: a score holds for one version only."""

SPLITS: Final = {"train": 400, "val": 100, "test": 100}
"""Splits and their default number of scenes."""

CACHE_BYTES: Final = 256 * 2**20
"""Scenes that are kept in memory."""


class Streets(SegmentationDataset):
    """Procedural street scenes: 9 classes, labels are train ids, 255 is void.

    Scene ``index`` of a split is a function of (``STREETS_VERSION``, ``seed``, split, index) alone, whatever
    ``num_images`` is. Scenes are drawn when first asked for and kept in memory, up to 256 MB.

    Args:
        root: Not used: there is nothing on disk.
        split: ``"train"``, ``"val"`` or ``"test"``.
        size: Height and width of a scene in pixels, each at least 32.
        num_images: Number of scenes; default 400 (train) or 100 (val, test).
        num_train: The same for the training split alone.
        seed: Another seed is another city: use it to get a new data set.

    Raises:
        ValueError: If an argument is out of range.

    Note:
        Scenes are the same for every NumPy since 1.26 and Pillow since 11.1, whose polygons differ from
        those of earlier versions by single pixels.
    """

    splits = tuple(SPLITS)

    def __init__(
        self,
        root: Path | str | None = None,
        split: str = "train",
        *,
        size: Sequence[int] = (96, 160),
        num_images: int | None = None,
        num_train: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(root or "streets", split, labels=STREETS_LABELS, samples=())
        if len(size) != 2 or min(size) < 32:
            raise ArgumentError(f"`size` must be a height and a width of at least 32; got {tuple(size)}.")
        for name, number in (("num_images", num_images), ("num_train", num_train)):
            if number is not None and number < 1:
                raise ArgumentError(f"`{name}` must be at least 1; got {number}.")
        if seed < 0:
            raise ArgumentError(f"`seed` must not be negative; got {seed}.")
        self.size, self.seed = (size[0], size[1]), seed
        self.num_images = (split == "train" and num_train) or num_images or SPLITS[split]
        self._scenes: dict[int, tuple[ByteMap, ByteMap]] = {}
        self._cache_length = CACHE_BYTES // (4 * self.size[0] * self.size[1])

    def __len__(self) -> int:
        return self.num_images

    def path(self, index: int) -> Path:
        """The name of scene ``index``; no such file exists."""
        return Path(f"{self.split}_{index:06d}.png")

    def load(self, index: int) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        """Draw scene ``index``: image (3, H, W) and labels (H, W), both uint8."""
        if not 0 <= index < len(self):
            raise IndexError(f"`index` must be from 0 to {len(self) - 1}; got {index}.")
        scene = self._scenes.get(index)
        if scene is None:
            key = (STREETS_VERSION, self.seed, list(SPLITS).index(self.split), index)
            rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
            scene = draw_scene(rng, self.size)
            if len(self._scenes) < self._cache_length:
                self._scenes[index] = scene
        image, mask = scene
        # Copies, since a transform that works in place must not reach the next epoch.
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())
        return tv_tensors.Image(pixels), tv_tensors.Mask(torch.from_numpy(mask.copy()))
