"""COCO-Stuff 164K."""

from pathlib import Path
from typing import Final

from segdistill.data.base import SegmentationDataset
from segdistill.data.layout import pair, require
from segdistill.labels import LabelTable, name_list
from segdistill.util import ArgumentError

_NAMES: Final = name_list("""
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
street sign, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra,
giraffe, hat, backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, skis, snowboard,
sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, plate,
wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog,
pizza, donut, cake, chair, couch, potted plant, bed, mirror, dining table, window, desk, toilet, door, tv,
laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, blender, book,
clock, vase, scissors, teddy bear, hair drier, toothbrush, hair brush, banner, blanket, branch, bridge,
building-other, bush, cabinet, cage, cardboard, carpet, ceiling-other, ceiling-tile, cloth, clothes,
clouds, counter, cupboard, curtain, desk-stuff, dirt, door-stuff, fence, floor-marble, floor-other,
floor-stone, floor-tile, floor-wood, flower, fog, food-other, fruit, furniture-other, grass, gravel,
ground-other, hill, house, leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin, net,
paper, pavement, pillow, plant-other, plastic, platform, playingfield, railing, railroad, river, road,
rock, roof, rug, salad, sand, sea, shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw,
structural-other, table, tent, textile-other, towel, tree, vegetable, wall-brick, wall-concrete,
wall-other, wall-panel, wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind,
window-other, wood
""")

# Of the 182 names these were never annotated: street sign, hat, shoe, eye glasses, plate, mirror, window,
# desk, door, blender, hair brush. Masks hold the number of the data set's list minus 1.
_UNUSED: Final = frozenset({11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90})

COCO_STUFF_LABELS: Final = LabelTable.from_ids(
    {i: name for i, name in enumerate(_NAMES) if i not in _UNUSED}, name="coco_stuff", void=255
)
"""The 171 annotated classes of the 182 in the stuffthingmaps, renumbered; 255 is unlabelled."""

COCO_STUFF_182_LABELS: Final = LabelTable.from_ids(dict(enumerate(_NAMES)), name="coco_stuff_182", void=255)
"""All 182 classes, train id = id, as the published Af-DCD tables average them: 11 of them have no pixel."""

_LAYOUT: Final = (
    "Expected: images/{train,val}2017/*.jpg and annotations/{train,val}2017/*.png; unpack train2017.zip and "
    "val2017.zip of cocodataset.org in images, stuffthingmaps_trainval2017.zip of "
    "github.com/nightrome/cocostuff in annotations."
)
_TABLES: Final = {171: COCO_STUFF_LABELS, 182: COCO_STUFF_182_LABELS}


class COCOStuff(SegmentationDataset):
    """COCO 2017 with every pixel labelled: 80 things and 91 kinds of stuff.

    - Content: train 118,287, val 5,000 photographs, about 640 x 480.
    - Classes: 171 annotated ones; 255 (unlabelled) is ignored (``COCO_STUFF_LABELS``). ``classes=182`` keeps
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
            raise ArgumentError(f"`classes` must be 171 or 182; got {classes!r}.")
        images, masks = require(root, f"images/{split}2017", f"annotations/{split}2017", layout=_LAYOUT)
        samples, unpaired = pair(images, masks)
        super().__init__(root, split, labels=_TABLES[classes], samples=samples, unpaired=unpaired)
