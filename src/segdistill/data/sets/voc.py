"""Pascal VOC 2012 with the augmented training set."""

from pathlib import Path
from typing import Final

from segdistill.data.base import SegmentationDataset
from segdistill.data.layout import by_stem, inside, read_names, require
from segdistill.labels import Color, LabelTable, name_list


def _color(label_id: int) -> Color:
    """The palette of the VOC development kit: bits of the id dealt to the high bits of the channels."""
    red, green, blue = (
        sum((label_id >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)
    )
    return (red, green, blue)


_NAMES: Final = name_list(
    "background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, horse, "
    "motorbike, person, pottedplant, sheep, sofa, train, tvmonitor"
)

VOC_LABELS: Final = LabelTable.from_names(
    _NAMES, [_color(label_id) for label_id in range(len(_NAMES))], name="voc", ignored=[255]
)
"""Background and 20 objects, with the colours of the development kit."""

_LAYOUT: Final = (
    "Expected: JPEGImages, SegmentationClass, SegmentationClassAug, ImageSets/Segmentation/val.txt; unpack "
    "VOCtrainval_11-May-2012.tar, give its folder VOCdevkit/VOC2012 as root, and add SegmentationClassAug."
)
_LISTS: Final = ("train_aug.txt", "trainaug.txt")


class VOC(SegmentationDataset):
    """Pascal VOC 2012, "VOC Aug": photographs of everyday objects.

    - Content: train 10,582 (VOC and the SBD annotations), val 1,449; about 500 x 375 pixels.
    - Classes: background and 20 objects; 255 (outlines, difficult) is ignored (``VOC_LABELS``).
    - Layout: images ``JPEGImages/*.jpg``; train masks ``SegmentationClassAug/*.png`` (grey); val masks
      ``SegmentationClass/*.png`` (palette). Val is ``ImageSets/Segmentation/val.txt``; train is
      ``train_aug.txt`` or ``trainaug.txt`` beside it, else every mask of ``SegmentationClassAug`` that is
      not in val.
    - Licence: Flickr images, research use; http://host.robots.ox.ac.uk/pascal/VOC/voc2012.
    - Papers: Everingham et al., IJCV 2010; Hariharan et al., Semantic Contours from Inverse Detectors,
      ICCV 2011 (the further annotations).

    Args:
        root: The folder ``VOCdevkit/VOC2012``.
        split: ``"train"`` or ``"val"``.

    Raises:
        ValueError: If the split is unknown.
        DatasetNotFoundError: If a folder or list is missing.
        DataError: If a list holds anything but plain names, or a link leaves the data set.
    """

    splits = ("train", "val")

    def __init__(self, root: Path | str, split: str = "train") -> None:
        self.check_split(split)
        folder = "SegmentationClass" if split == "val" else "SegmentationClassAug"
        images, masks, val_list = require(root, "JPEGImages", folder, "ImageSets/Segmentation/val.txt", layout=_LAYOUT)
        names = read_names(val_list)
        if split == "train":
            lists = [val_list.with_name(name) for name in _LISTS if val_list.with_name(name).exists()]
            names = read_names(lists[0]) if lists else sorted(by_stem(masks).keys() - set(names))
        base = Path(root)
        samples = [(inside(images / f"{name}.jpg", base), inside(masks / f"{name}.png", base)) for name in names]
        super().__init__(root, split, labels=VOC_LABELS, samples=samples)
