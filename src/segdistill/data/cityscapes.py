"""Cityscapes."""

from pathlib import Path

from segdistill.data._layout import files, pair, require
from segdistill.data.base import DatasetNotFoundError, Sample, SegmentationDataset
from segdistill.labels import CITYSCAPES

_LAYOUT = (
    "Expected: leftImg8bit/<split>/<city>/*_leftImg8bit.png and gtFine/<split>/<city>/*_gtFine_labelIds.png; "
    "unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of www.cityscapes-dataset.com there."
)


class Cityscapes(SegmentationDataset):
    """Street scenes of 50 cities, seen from a car, finely annotated.

    - Content: 5,000 images of 2048 x 1024, day and good weather; train 2,975, val 500, test 1,525.
    - Classes: 19 of 34 ids; the others are ignored (``labels.CITYSCAPES``).
    - Layout: ``leftImg8bit/<split>/<city>/*_leftImg8bit.png``,
      ``gtFine/<split>/<city>/*_gtFine_labelIds.png``. The test split needs and reads no masks: its labels are
      not public.
    - Licence: own terms, non-commercial; registration at https://www.cityscapes-dataset.com.
    - Paper: Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016.

    Args:
        root: The folder that holds ``leftImg8bit`` and ``gtFine``.
        split: ``"train"``, ``"val"`` or ``"test"``.

    Raises:
        ValueError: If the split is unknown.
        DatasetNotFoundError: If a folder is missing or holds no images.
    """

    splits = ("train", "val", "test")

    def __init__(self, root: Path | str, split: str = "train") -> None:
        self.check_split(split)
        labelled = split != "test"
        wanted = [f"leftImg8bit/{split}", *([f"gtFine/{split}"] if labelled else [])]
        images = require(root, *wanted, layout=_LAYOUT)[0]
        samples: list[Sample] = []
        unpaired: list[Path] = []
        for city in sorted(path for path in images.iterdir() if path.is_dir()):
            if not labelled:
                samples += [(path, None) for path in files(city) if path.stem.endswith("_leftImg8bit")]
                continue
            (masks,) = require(root, f"gtFine/{split}/{city.name}", layout=_LAYOUT)
            found, rest = pair(city, masks, image_ending="_leftImg8bit", mask_ending="_gtFine_labelIds")
            samples, unpaired = samples + found, unpaired + rest
        if not samples:
            raise DatasetNotFoundError(f"`{images}` must hold folders of images by city, but does not. {_LAYOUT}")
        super().__init__(root, split, labels=CITYSCAPES, samples=samples, unpaired=unpaired)
