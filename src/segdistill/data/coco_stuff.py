"""COCO-Stuff 164K."""

from pathlib import Path

from segdistill.data._layout import pair, require
from segdistill.data.base import SegmentationDataset
from segdistill.labels import COCO_STUFF, COCO_STUFF_182

_LAYOUT = (
    "Expected: images/{train,val}2017/*.jpg and annotations/{train,val}2017/*.png; unpack train2017.zip and "
    "val2017.zip of cocodataset.org in images, stuffthingmaps_trainval2017.zip of "
    "github.com/nightrome/cocostuff in annotations."
)
_TABLES = {171: COCO_STUFF, 182: COCO_STUFF_182}


class COCOStuff(SegmentationDataset):
    """COCO 2017 with every pixel labelled: 80 things and 91 kinds of stuff.

    - Content: train 118,287, val 5,000 photographs, about 640 x 480.
    - Classes: 171 annotated ones; 255 (unlabelled) is ignored (``labels.COCO_STUFF``). ``classes=182`` keeps
      the 11 ids nobody annotated, as the published Af-DCD tables do: they score 0 and lower the mean.
    - Layout: ``images/{train,val}2017/*.jpg``, ``annotations/{train,val}2017/*.png`` (the stuffthingmaps).
    - Licence: annotations CC BY 4.0, images under Flickr terms.
    - Obtain: https://cocodataset.org (images), https://github.com/nightrome/cocostuff (stuffthingmaps).
    - Paper: Caesar et al., COCO-Stuff: Thing and Stuff Classes in Context, CVPR 2018.

    Args:
        root: The folder that holds ``images`` and ``annotations``.
        split: ``"train"`` or ``"val"``.
        classes: 171 or 182.

    Raises:
        ValueError: If the split or number of classes is unknown.
        DatasetNotFoundError: If a folder is missing or holds no images.
    """

    splits = ("train", "val")

    def __init__(self, root: Path | str, split: str = "train", *, classes: int = 171) -> None:
        self.check_split(split)
        if classes not in _TABLES:
            raise ValueError(f"`classes` must be 171 or 182; got {classes!r}.")
        images, masks = require(root, f"images/{split}2017", f"annotations/{split}2017", layout=_LAYOUT)
        samples, unpaired = pair(images, masks)
        super().__init__(root, split, labels=_TABLES[classes], samples=samples, unpaired=unpaired)
