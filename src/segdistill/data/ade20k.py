"""ADE20K, the scene parsing challenge."""

from pathlib import Path

from segdistill.data._layout import pair, require
from segdistill.data.base import SegmentationDataset
from segdistill.labels import ADE20K as ADE20K_LABELS

_LAYOUT = (
    "Expected: images/{training,validation}/*.jpg and annotations/{training,validation}/*.png; unpack "
    "ADEChallengeData2016.zip of data.csail.mit.edu/places/ADEchallenge and give its folder as root."
)
_FOLDERS = {"train": "training", "val": "validation"}


class ADE20K(SegmentationDataset):
    """Indoor and outdoor scenes with 150 classes of things and stuff.

    - Content: train 20,210, val 2,000 images of many sizes.
    - Classes: 150; id 0 (unlabelled) is ignored, class k has id k + 1 (``labels.ADE20K``).
    - Layout: ``images/{training,validation}/*.jpg``, ``annotations/{training,validation}/*.png``.
    - Licence: images for non-commercial research, annotations BSD-3.
    - Obtain: ``ADEChallengeData2016.zip``, http://data.csail.mit.edu/places/ADEchallenge.
    - Paper: Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017.

    Args:
        root: The folder ``ADEChallengeData2016``.
        split: ``"train"`` or ``"val"``.

    Raises:
        ValueError: If the split is unknown.
        DatasetNotFoundError: If a folder is missing or holds no images.
    """

    splits = tuple(_FOLDERS)

    def __init__(self, root: Path | str, split: str = "train") -> None:
        self.check_split(split)
        folder = _FOLDERS[split]
        images, masks = require(root, f"images/{folder}", f"annotations/{folder}", layout=_LAYOUT)
        samples, unpaired = pair(images, masks)
        super().__init__(root, split, labels=ADE20K_LABELS, samples=samples, unpaired=unpaired)
