"""Class tables: what the numbers in a mask mean, which classes are trained, and how they are drawn.

A mask on disk holds *ids*; losses and scores use contiguous *train ids* from 0; 255 is "does not count".
"""

import colorsys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias

Color: TypeAlias = tuple[int, int, int]

_IGNORED: Final = 255
_BLACK: Final = (0, 0, 0)


class ClassLabel(NamedTuple):
    """One class.

    Attributes:
        name: As the data set spells it.
        id: Its value in a mask file, 0 to 255.
        train_id: Its value in targets and its channel in logits; 255 if ``ignored``.
        ignored: Pixels of this class never count.
        color: Red, green and blue, 0 to 255, for drawing.
    """

    name: str
    id: int
    train_id: int
    ignored: bool
    color: Color


def ignored_color(colors: Iterable[Sequence[int]]) -> tuple[int, int, int]:
    """What pixels that do not count are painted in: black, or where a class is black another colour of no class.

    >>> ignored_color([(128, 64, 128)]), ignored_color([(0, 0, 0)])
    ((0, 0, 0), (255, 255, 255))
    """
    taken = {tuple(color) for color in colors}
    return next(color for grey in (0, 255, *range(1, 255)) if (color := (grey, grey, grey)) not in taken)


@dataclass(frozen=True)
class LabelTable:
    """The classes of a data set.

    Args:
        name: The table's name.
        labels: All ids a mask may hold; those not ignored have the train ids 0 to ``num_classes - 1``.

    Raises:
        ValueError: If an id occurs twice or is no byte, or the train ids are not contiguous from 0.

    Example:
        >>> CITYSCAPES.num_classes, CITYSCAPES.names[:2], CITYSCAPES.id_to_train_id[26]
        (19, ('road', 'sidewalk'), 13)
    """

    name: str
    labels: tuple[ClassLabel, ...]

    def __post_init__(self) -> None:
        ids = [label.id for label in self.labels]
        if len(set(ids)) < len(ids) or not all(0 <= label_id <= 255 for label_id in ids):
            raise ValueError(f"`labels` must have distinct ids from 0 to 255; got {ids}.")
        train_ids = sorted(label.train_id for label in self.labels if not label.ignored)
        if not train_ids or len(train_ids) > _IGNORED or train_ids != list(range(len(train_ids))):
            raise ValueError(f"`labels` must have 1 to 255 train ids, each once, from 0 on; got {train_ids}.")
        if any(label.ignored != (label.train_id == _IGNORED) for label in self.labels):
            raise ValueError(f"`labels` must give the train id {_IGNORED} to ignored classes and to no other.")
        if not all(len(label.color) == 3 and all(0 <= v <= 255 for v in label.color) for label in self.labels):
            raise ValueError("`labels` must have colours of three numbers from 0 to 255.")

    @cached_property
    def _trained(self) -> tuple[ClassLabel, ...]:
        counting = (label for label in self.labels if not label.ignored)
        return tuple(sorted(counting, key=lambda label: label.train_id))

    @property
    def num_classes(self) -> int:
        """How many classes count: the number of channels of the logits."""
        return len(self._trained)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each train id."""
        return tuple(label.name for label in self._trained)

    @property
    def colors(self) -> tuple[Color, ...]:
        """Colour of each train id."""
        return tuple(label.color for label in self._trained)

    @property
    def id_to_train_id(self) -> dict[int, int]:
        """Train id of every id a mask may hold; 255 for ignored ones."""
        return {label.id: label.train_id for label in self.labels}

    def to_json(self) -> dict[str, Any]:
        """The table as a dictionary that ``json`` can write."""
        return {"name": self.name, "labels": [label._asdict() for label in self.labels]}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "LabelTable":
        """Rebuild what ``to_json`` wrote, before or after a trip through a file.

        Raises:
            ValueError: If it is not such a dictionary.
        """
        try:
            labels = tuple(_label_from_json(label) for label in table["labels"])
            return cls(str(table["name"]), labels)
        except (KeyError, TypeError) as error:
            raise ValueError(f"`table` must be what `LabelTable.to_json` writes; got {error!r}.") from error

    @classmethod
    def from_names(
        cls,
        names: Sequence[str],
        colors: Sequence[Sequence[int]] | None = None,
        *,
        name: str = "custom",
        ignored: Sequence[int] = (),
    ) -> "LabelTable":
        """A table of classes whose ids are their positions in ``names``.

        Args:
            names: Class names, by id.
            colors: One per name, red, green and blue, 0 to 255; default ``palette``.
            name: The table's name.
            ignored: Ids that do not count: either of classes in ``names`` or further ones, such as 255. The
                train ids of the others close the gaps.

        Raises:
            ValueError: If names repeat or there are not as many colours as names.

        Example:
            >>> LabelTable.from_names(["sky", "road"]).id_to_train_id
            {0: 0, 1: 1}
        """
        if len(set(names)) < len(names):
            raise ValueError(f"`names` must differ from each other; got {', '.join(names)}.")
        drawn = palette(len(names)) if colors is None else [_color(color) for color in colors]
        if len(drawn) != len(names):
            raise ValueError(f"`colors` must have one colour per name, {len(names)}; got {len(drawn)}.")
        labels: list[ClassLabel] = []
        train_id = 0
        for label_id, (label, color) in enumerate(zip(names, drawn, strict=True)):
            counts = label_id not in ignored
            labels.append(ClassLabel(label, label_id, train_id if counts else _IGNORED, not counts, color))
            train_id += counts
        extra = sorted(label_id for label_id in set(ignored) if not 0 <= label_id < len(names))
        labels += [ClassLabel(f"ignored {label_id}", label_id, _IGNORED, True, _BLACK) for label_id in extra]
        return cls(name, tuple(labels))


def palette(num_colors: int) -> tuple[Color, ...]:
    """Distinct colours, always the same: hues by the golden ratio at four strengths.

    >>> palette(2)
    ((230, 46, 46), (77, 106, 178))
    """
    strengths = ((0.8, 0.9), (0.57, 0.7), (0.9, 0.55), (0.35, 0.95))
    colors = []
    for index in range(num_colors):
        saturation, value = strengths[index % len(strengths)]
        rgb = colorsys.hsv_to_rgb(index * 0.618033988749895 % 1.0, saturation, value)
        colors.append((round(rgb[0] * 255), round(rgb[1] * 255), round(rgb[2] * 255)))
    return tuple(colors)


def _color(color: Sequence[int]) -> Color:
    if len(color) != 3:
        raise ValueError(f"`color` must have three numbers; got {list(color)}.")
    return (int(color[0]), int(color[1]), int(color[2]))


def _label_from_json(label: Mapping[str, Any]) -> ClassLabel:
    numbers = int(label["id"]), int(label["train_id"])
    return ClassLabel(str(label["name"]), *numbers, bool(label["ignored"]), _color(label["color"]))


def _hex(colors: str) -> list[Sequence[int]]:
    return [bytes.fromhex(color) for color in colors.split()]


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",")]


def _voc_color(label_id: int) -> Color:
    """The palette of the VOC development kit: bits of the id dealt to the high bits of the channels."""
    red, green, blue = (
        sum((label_id >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)
    )
    return (red, green, blue)


def _drawn(name: str, names: dict[int, str], void: int) -> LabelTable:
    """Classes by id, train ids in that order, palette colours, and one ignored id."""
    labels = [
        ClassLabel(label, label_id, train_id, False, color)
        for train_id, (label_id, label, color) in enumerate(
            zip(names.keys(), names.values(), palette(len(names)), strict=True)
        )
    ]
    return LabelTable(name, (*labels, ClassLabel("unlabeled", void, _IGNORED, True, _BLACK)))


# By id, as in the cityscapesScripts; its id -1 (licence plate) is never drawn in masks.
_CITYSCAPES: Final = _split("""
unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, road, sidewalk,
parking, rail track, building, wall, fence, guard rail, bridge, tunnel, pole, polegroup, traffic light,
traffic sign, vegetation, terrain, sky, person, rider, car, truck, bus, caravan, trailer, train,
motorcycle, bicycle
""")
_CITYSCAPES_COLORS: Final = """
000000 000000 000000 000000 000000 6f4a00 510051 804080 f423e8 faaaa0 e6968c 464646 66669c be9999 b4a5b4
966464 96785a 999999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c ff0000 00008e 000046 003c64 00005a
00006e 005064 0000e6 770b20
"""
_CITYSCAPES_IGNORED: Final = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30)

_VOC: Final = _split(
    "background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, horse, "
    "motorbike, person, pottedplant, sheep, sofa, train, tvmonitor"
)

_ADE20K: Final = _split("""
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

_COCO_STUFF: Final = _split("""
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
_COCO_UNUSED: Final = frozenset({11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90})

CITYSCAPES: Final = LabelTable.from_names(
    _CITYSCAPES, _hex(_CITYSCAPES_COLORS), name="cityscapes", ignored=_CITYSCAPES_IGNORED
)
"""19 of 34 ids, with the official colours."""

VOC: Final = LabelTable.from_names(
    _VOC, [_voc_color(label_id) for label_id in range(len(_VOC))], name="voc", ignored=[255]
)
"""Background and 20 objects, with the colours of the development kit."""

CAMVID: Final = LabelTable.from_names(
    _split("Sky, Building, Pole, Road, Pavement, Tree, SignSymbol, Fence, Car, Pedestrian, Bicyclist, Void"),
    _hex("808080 800000 c0c080 804080 3c28de 808000 c08080 404080 400080 404000 0080c0 000000"),
    name="camvid",
    ignored=[11],
)
"""The 11 classes of SegNet's version; 11 is void."""

ADE20K: Final = _drawn("ade20k", dict(enumerate(_ADE20K, start=1)), void=0)
"""The 150 classes of the scene parsing challenge (first name of each); 0 is unlabelled."""

COCO_STUFF: Final = _drawn(
    "coco_stuff", {i: name for i, name in enumerate(_COCO_STUFF) if i not in _COCO_UNUSED}, void=255
)
"""The 171 annotated classes of the 182 in the stuffthingmaps, renumbered; 255 is unlabelled."""

COCO_STUFF_182: Final = _drawn("coco_stuff_182", dict(enumerate(_COCO_STUFF)), void=255)
"""All 182 classes, train id = id, as the published Af-DCD tables average them: 11 of them have no pixel."""

STREETS: Final = LabelTable.from_names(
    ["sky", "building", "vegetation", "road", "pavement", "car", "person", "pole", "sign"],
    _hex("4682b4 464646 6b8e23 804080 f423e8 00008e dc143c 999999 dcdc00"),
    name="streets",
)
"""The 9 classes of the procedural street scenes; 255 is drawn straight into targets."""
