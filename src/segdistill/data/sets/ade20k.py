"""ADE20K, the scene parsing challenge."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from segdistill.data.base import SegmentationDataset
from segdistill.data.layout import pair, require
from segdistill.labels import LabelTable, name_list
from segdistill.util import shorten

_NAMES: Final = name_list("""
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth,
door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug,
field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column,
signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path,
stairs, runway, case, pool table, pillow, screen door, stairway, river, bridge, bookcase, blind,
coffee table, toilet, flower, book, hill, bench, countertop, stove, palm, kitchen island, computer,
swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning,
streetlight, booth, television, airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman,
bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything,
swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step,
tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood,
sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower,
radiator, glass, clock, flag
""")

ADE20K_LABELS: Final = LabelTable.from_ids(dict(enumerate(_NAMES, start=1)), name="ade20k", void=0)
"""The 150 classes of the scene parsing challenge (first name of each); 0 is unlabelled."""

_LAYOUT: Final = (
    "Expected: images/{training,validation}/*.jpg and annotations/{training,validation}/*.png; unpack "
    "ADEChallengeData2016.zip of data.csail.mit.edu/places/ADEchallenge and give its folder as root."
)
_FOLDERS: Final = {"train": "training", "val": "validation"}


class ADE20K(SegmentationDataset):
    """Indoor and outdoor scenes with 150 classes of things and stuff.

    - Content: train 20,210, val 2,000 images of many sizes.
    - Classes: 150; id 0 (unlabelled) is ignored, class k has id k + 1 (``ADE20K_LABELS``).
    - Layout: ``images/{training,validation}/*.jpg``, ``annotations/{training,validation}/*.png``.
    - Licence: images for non-commercial research, annotations BSD-3.
    - Obtain: ``ADEChallengeData2016.zip``, http://data.csail.mit.edu/places/ADEchallenge.
    - Paper: Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017.

    Args:
        root: The folder ``ADEChallengeData2016``.
        split: ``"train"`` or ``"val"``.
        ignore: Further ids that do not count, such as 255 in masks that other tools have written.

    Raises:
        ValueError: If the split is unknown.
        DatasetNotFoundError: If a folder is missing or holds no images.
    """

    splits = tuple(_FOLDERS)

    def __init__(self, root: Path | str, split: str = "train", *, ignore: Sequence[int] = ()) -> None:
        self.check_split(split)
        folder = _FOLDERS[split]
        images, masks = require(root, f"images/{folder}", f"annotations/{folder}", layout=_LAYOUT)
        samples, unpaired = pair(images, masks)
        labels = ADE20K_LABELS.ignoring(ignore)
        super().__init__(root, split, labels=labels, samples=samples, unpaired=unpaired)

    def unknown_ids_remedy(self, ids: Sequence[int]) -> str:
        """Most often such an id is void."""
        return f"If they mean void, set `data.options.ignore: [{shorten(ids)}]`; else correct the mask."
