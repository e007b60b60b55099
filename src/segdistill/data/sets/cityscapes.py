"""Cityscapes."""

from pathlib import Path
from typing import Final

from segdistill.data.base import Sample, SegmentationDataset
from segdistill.data.layout import files, pair, require
from segdistill.labels import LabelTable, hex_colors, name_list
from segdistill.util import ArgumentError, DatasetNotFoundError

# By id, as in the cityscapesScripts; their id -1 (licence plate) is never drawn in masks.
_NAMES: Final = name_list("""
unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, road, sidewalk,
parking, rail track, building, wall, fence, guard rail, bridge, tunnel, pole, polegroup, traffic light,
traffic sign, vegetation, terrain, sky, person, rider, car, truck, bus, caravan, trailer, train,
motorcycle, bicycle
""")

_COLORS: Final = """
000000 000000 000000 000000 000000 6f4a00 510051 804080 f423e8 faaaa0 e6968c 464646 66669c be9999 b4a5b4
966464 96785a 999999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c ff0000 00008e 000046 003c64 00005a
00006e 005064 0000e6 770b20
"""

_IGNORED: Final = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30)

CITYSCAPES_LABELS: Final = LabelTable.from_names(_NAMES, hex_colors(_COLORS), name="cityscapes", ignored=_IGNORED)
"""19 of 34 ids, with the official colours."""

_TRAINED: Final = [label._replace(id=label.train_id) for label in CITYSCAPES_LABELS.labels if not label.ignored]
_TABLES: Final = {
    "labelIds": CITYSCAPES_LABELS,
    "labelTrainIds": LabelTable("cityscapes", tuple(_TRAINED)).ignoring([255]),
}

_LAYOUT: Final = (
    "Expected: leftImg8bit/<split>/<city>/*_leftImg8bit.png and gtFine/<split>/<city>/*_gtFine_labelIds.png; "
    "unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of www.cityscapes-dataset.com there."
)


class Cityscapes(SegmentationDataset):
    """Street scenes of 50 cities, seen from a car, finely annotated.

    - Content: 5,000 images of 2048 x 1024, day and good weather; train 2,975, val 500, test 1,525.
    - Classes: 19 of 34 ids; the others are ignored (``CITYSCAPES_LABELS``).
    - Layout: ``leftImg8bit/<split>/<city>/*_leftImg8bit.png``,
      ``gtFine/<split>/<city>/*_gtFine_labelIds.png``, or ``_labelTrainIds.png``. The test split needs and reads no
      masks: its labels are not public.
    - Licence: own terms, non-commercial; registration at https://www.cityscapes-dataset.com.
    - Paper: Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016.

    Args:
        root: The folder that holds ``leftImg8bit`` and ``gtFine``.
        split: ``"train"``, ``"val"`` or ``"test"``.
        labels: Which masks to read: ``"labelIds"``, or the ``"labelTrainIds"`` that cityscapesScripts makes of them.

    Raises:
        ValueError: If the split is unknown, or ``labels`` is neither.
        DatasetNotFoundError: If a folder is missing or holds no images.
    """

    splits = ("train", "val", "test")

    def __init__(self, root: Path | str, split: str = "train", *, labels: str = "labelIds") -> None:
        self.check_split(split)
        if labels not in _TABLES:
            raise ArgumentError(f"`labels` must be {' or '.join(_TABLES)}; got {labels!r}.")
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
            found, rest = pair(city, masks, image_ending="_leftImg8bit", mask_ending=f"_gtFine_{labels}")
            samples, unpaired = samples + found, unpaired + rest
        if not samples:
            raise DatasetNotFoundError(f"`{images}` must hold folders of images by city, but does not. {_LAYOUT}")
        super().__init__(root, split, labels=_TABLES[labels], samples=samples, unpaired=unpaired)
