"""Class tables: what the numbers in a mask mean, which classes are trained, and how they are drawn.

A mask on disk holds *ids*; losses and scores use contiguous *train ids* from 0; 255 is "does not count".
Several ids may have one train id: they are one class.
"""

import colorsys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias

from segdistill.util import ArgumentError, quote, shorten

Color: TypeAlias = tuple[int, int, int]

_IGNORED: Final = 255
LARGEST_ID: Final = 65535
"""What a mask of 16 bits can hold."""
_BLACK: Final = (0, 0, 0)


class ClassLabel(NamedTuple):
    """One id of a class; a class of several ids has several.

    Attributes:
        name: As the data set spells it.
        id: Its value in a mask file, 0 to ``LARGEST_ID``.
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
        labels: All ids a mask may hold; those not ignored have the train ids 0 to ``num_classes - 1``. Labels of one
            train id have one name and one colour.

    Raises:
        ValueError: If an id occurs twice or is out of range, or the train ids are not contiguous from 0.

    Example:
        >>> table = LabelTable.from_names(["void", "road", "car"], ignored=[0])
        >>> table.num_classes, table.names, table.id_to_train_id
        (2, ('road', 'car'), {0: 255, 1: 0, 2: 1})
    """

    name: str
    labels: tuple[ClassLabel, ...]

    def __post_init__(self) -> None:
        ids = [label.id for label in self.labels]
        if len(set(ids)) < len(ids) or not all(0 <= label_id <= LARGEST_ID for label_id in ids):
            raise ArgumentError(f"`labels` must have distinct ids from 0 to {LARGEST_ID}; got {shorten(ids, 20)}.")
        drawn = {(label.train_id, label.name, label.color) for label in self.labels if not label.ignored}
        train_ids = sorted(train_id for train_id, _, _ in drawn)
        if not train_ids or len(train_ids) > _IGNORED or train_ids != list(range(len(train_ids))):
            found = shorten(train_ids, 20) or "none"
            raise ArgumentError(
                f"`labels` must have 1 to 255 train ids from 0 on, each with one name and one colour; got {found}."
            )
        if wrong := [label.name for label in self.labels if label.ignored != (label.train_id == _IGNORED)]:
            raise ArgumentError(
                f"`labels` must give the train id {_IGNORED} to ignored classes and to no other; "
                f"got something else for {quote(wrong)}."
            )
        for label in self.labels:
            if len(label.color) != 3 or not all(0 <= value <= 255 for value in label.color):
                raise ArgumentError(
                    f"`labels` must have colours of three numbers from 0 to 255; got {label.color} for `{label.name}`."
                )

    @cached_property
    def _trained(self) -> tuple[ClassLabel, ...]:
        counting = {label.train_id: label for label in self.labels if not label.ignored}
        return tuple(counting[train_id] for train_id in sorted(counting))

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

    def ignoring(self, ids: Iterable[int]) -> "LabelTable":
        """The table with further ids that do not count; ids that it has stay as they are.

        >>> LabelTable.from_names(["sky", "road"]).ignoring([255]).id_to_train_id
        {0: 0, 1: 1, 255: 255}
        """
        new = sorted(set(ids) - {label.id for label in self.labels})
        extra = (ClassLabel(f"ignored {label_id}", label_id, _IGNORED, True, _BLACK) for label_id in new)
        return LabelTable(self.name, (*self.labels, *extra))

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
            raise ArgumentError(f"`table` must be what `LabelTable.to_json` writes; got {error!r}.") from error

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
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ArgumentError(f"`names` must differ from each other; got {quote(repeated)} more than once.")
        classes = {label: [label_id] for label_id, label in enumerate(names)}
        return cls.from_classes(classes, colors, name=name, ignored=ignored)

    @classmethod
    def from_classes(
        cls,
        classes: Mapping[str, Sequence[int]],
        colors: Sequence[Sequence[int]] | None = None,
        *,
        name: str = "custom",
        ignored: Sequence[int] = (),
    ) -> "LabelTable":
        """A table of classes by name, each with the ids that mean it.

        Args:
            classes: Ids of every class.
            colors: One per class, red, green and blue, 0 to 255; default ``palette``.
            name: The table's name.
            ignored: Ids that do not count: of classes or further ones. A class that loses all its ids is removed.

        Raises:
            ValueError: If an id has two classes or there are not as many colours as classes.

        Example:
            >>> LabelTable.from_classes({"ground": [0], "road": [1, 400]}, ignored=[255]).id_to_train_id
            {0: 0, 1: 1, 400: 1, 255: 255}
        """
        drawn = palette(len(classes)) if colors is None else [_color(color) for color in colors]
        if len(drawn) != len(classes):
            raise ArgumentError(f"`colors` must have one colour per name, {len(classes)}; got {len(drawn)}.")
        labels: list[ClassLabel] = []
        train_id = 0
        for (label, ids), color in zip(classes.items(), drawn, strict=True):
            for label_id in ids:
                counts = label_id not in ignored
                labels.append(ClassLabel(label, label_id, train_id if counts else _IGNORED, not counts, color))
            train_id += not set(ids) <= set(ignored)
        return cls(name, tuple(labels)).ignoring(ignored)

    @classmethod
    def from_ids(cls, names: Mapping[int, str], *, name: str, void: int) -> "LabelTable":
        """A table of classes by id: train ids in that order, colours of ``palette``, and one ignored id.

        >>> LabelTable.from_ids({1: "wall", 2: "sky"}, name="rooms", void=0).id_to_train_id
        {1: 0, 2: 1, 0: 255}
        """
        drawn = zip(names.items(), palette(len(names)), strict=True)
        labels = [ClassLabel(label, i, train_id, False, color) for train_id, ((i, label), color) in enumerate(drawn)]
        return cls(name, (*labels, ClassLabel("unlabeled", void, _IGNORED, True, _BLACK)))


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
        raise ArgumentError(f"`color` must have three numbers; got {list(color)}.")
    return (int(color[0]), int(color[1]), int(color[2]))


def _label_from_json(label: Mapping[str, Any]) -> ClassLabel:
    numbers = int(label["id"]), int(label["train_id"])
    return ClassLabel(str(label["name"]), *numbers, bool(label["ignored"]), _color(label["color"]))


def hex_colors(text: str) -> list[Color]:
    """Colours written as ``rrggbb``, apart by spaces.

    >>> hex_colors("ff0000 0000ff")
    [(255, 0, 0), (0, 0, 255)]
    """
    return [_color(bytes.fromhex(color)) for color in text.split()]


def name_list(text: str) -> list[str]:
    """Names apart by commas.

    >>> name_list("road, traffic light")
    ['road', 'traffic light']
    """
    return [name.strip() for name in text.split(",")]
