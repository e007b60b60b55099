"""A folder of your own images and masks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from segdistill.data.base import SegmentationDataset
from segdistill.data.classes import ERROR, IGNORE, class_table
from segdistill.data.pairing import choose, find_images, match
from segdistill.data.pictures import IdMap
from segdistill.data.places import Place
from segdistill.data.splits import check_shares, drawn, groups_of, list_file, read_list
from segdistill.util import ArgumentError, DatasetNotFoundError, shorten

_PAIRS: Final = (
    ("images", "masks"),
    ("images", "labels"),
    ("images", "annotations"),
    ("JPEGImages", "SegmentationClass"),
)


class Folder(SegmentationDataset):
    """Images and masks of your own, as they lie.

    - Layout: folders ``images`` and ``masks`` in or around a folder a split, paired by file name; or one pair of
      folders for all splits, with lists of names or shares. Either may be a pattern with a pair of folders a scene,
      ``*/rgb`` and ``*/label``. Also an export of CVAT, "Segmentation mask 1.1".
    - Masks: one channel, 8 or 16 bits (grey or palette), whose values are ids; or RGB, translated by ``colors``.
    - Classes: ``classes`` or ``labels``, or the file ``classes.txt``, ``labels.txt`` or ``labelmap.txt`` in the root.
      255 is ignored unless it is named.

    Args:
        root: The folder of the data set.
        split: Any name that the layout has.
        classes: Class names by id, a mapping of names and ids, or a file of names.
        labels: The classes to train: an id, a listed name, or a list of them, by class.
        colors: One (red, green, blue) a listed class: masks are colour pictures. Other colours are errors.
        ignore: Ids that do not count: of listed classes, or further ones that masks hold.
        others: What becomes of ids without a class: ``"error"``, ``"ignore"``, or the class of ``labels`` that gets the
            listed names that it leaves out.
        images: Folder of the images, from the root or absolute; ``{split}`` stands for the split, ``*`` for a folder of
            any name, a scene. Names of images are then ``drive1/0001`` for ``drive1/rgb/0001.png``.
        masks: Folder of the masks; found in the same way.
        image_ending: What names of images have after the part that image and mask share: ``_image`` or ``_image.png``.
        mask_ending: What names of masks have after it: ``_mask``. Default: found, where one ending alone pairs all.
        lists: File of names, from the root; ``{split}`` stands for the split.
        shares: Part of 1 of every split but train: one pair of folders, or one list, is split by name.
        split_seed: Draws other shares.
        group: Pattern of names: those with the same ``{group}`` are in one split. `check` refuses other splits.

    Raises:
        ValueError: If options contradict each other, or fewer than two classes are left.
        DatasetNotFoundError: If the root, the split's folders or its list are missing or hold no images.
        DataError: If names of files or of a list do not tell which mask belongs to which image.
    """

    def __init__(
        self,
        root: Path | str,
        split: str = "train",
        *,
        classes: Sequence[str] | Mapping[Any, Any] | str | None = None,
        labels: Mapping[str, Any] | None = None,
        colors: Sequence[Sequence[int]] | None = None,
        ignore: Sequence[int] = (),
        others: str = ERROR,
        images: str | None = None,
        masks: str | None = None,
        image_ending: str | None = None,
        mask_ending: str | None = None,
        lists: str | None = None,
        shares: Mapping[str, float] | None = None,
        split_seed: int = 0,
        group: str | None = None,
    ) -> None:
        if not split or Path(split).name != split:
            raise ArgumentError(f"`split` must be the name of a folder; got {split!r}.")
        words = {"images": images, "masks": masks, "lists": lists, "group": group}
        words |= {"image_ending": image_ending, "mask_ending": mask_ending}
        if wrong := [name for name, word in words.items() if not isinstance(word, (str, type(None)))]:
            raise ArgumentError(f"`{wrong[0]}` must be text; got {words[wrong[0]]!r}. Put quotes around it.")
        if shares is not None:
            check_shares(shares, split)
        base = Path(root)
        place = _place(base, split, images, masks, lists, shared=shares is not None)
        found = find_images(place.images, image_ending, place.masks, mask_ending)
        picked: dict[str, str | None] = dict.fromkeys(found.paths)
        if place.list is not None:
            picked = choose(found, base, read_list(place.list), place.list)
        if shares is not None:
            picked = {key: picked[key] for key in drawn(list(picked), split, shares, seed=split_seed, group=group)}
        samples, unpaired = match(
            found, place.masks, picked, root=base, ending=mask_ending, listed=place.list is not None
        )
        table, self._code = class_table(
            base, classes=classes, labels=labels, colors=colors, ignore=ignore, others=others
        )
        super().__init__(root, split, labels=table, samples=samples, unpaired=unpaired, ignore_others=others == IGNORE)
        self.groups = frozenset() if group is None else frozenset(groups_of(list(picked), group).values())

    def read_ids(self, path: Path) -> IdMap:
        """Read a mask; where classes have colours, translate them to ids.

        Raises:
            DataError: As ``read_mask``, or if a colour belongs to no class.
        """
        return super().read_ids(path) if self._code is None else self._code.read(path)

    def unknown_ids_remedy(self, ids: Sequence[int]) -> str:
        """Most often such an id is void."""
        binary = ""
        if self.labels.num_classes == 2 and len(ids) == 1:
            first, second = self.labels.names
            binary = f" Masks of two values: `data.options.labels: {{{first}: 0, {second}: {ids[0]}}}`."
        return (
            f"If {'it means' if len(ids) == 1 else 'they mean'} void, set `data.options.ignore: [{shorten(ids)}]`; "
            "otherwise add a class, or leave out every id without one: `data.options.others: ignore`."
            f"{binary}"
        )


class _Place(NamedTuple):
    """Where a split is: folders of images and masks, and the list of names that picks from them."""

    images: Place
    masks: Place
    list: Path | None = None


def _place(root: Path, split: str, images: str | None, masks: str | None, lists: str | None, *, shared: bool) -> _Place:
    if not root.is_dir():
        raise DatasetNotFoundError(f"`{root}` must hold {split}/images and {split}/masks, but does not exist.")
    pairs = [(images or "images", masks or "masks")] if images or masks else list(_PAIRS)
    listed = list_file(root, split, lists, shared=shared)
    if lists is None and not shared:
        for one, other in pairs:
            for pair in ((f"{split}/{one}", f"{split}/{other}"), (f"{one}/{split}", f"{other}/{split}")):
                folders = _folders(root, split, *pair)
                if folders is not None:
                    return _Place(*folders)
    for pair in pairs:
        folders = _folders(root, split, *pair)
        if folders is not None and (shared or listed is not None or "{split}" in "".join(pair)):
            return _Place(*folders, listed)
    held = shorten(sorted(path.name for path in root.iterdir() if path.name[0] != ".")) or "nothing"
    if any(_folders(root, split, *pair) for pair in pairs):
        raise DatasetNotFoundError(
            f"`{root}` must say which images are {split}, by a list {split}.txt or by shares; it holds {held}. Add "
            "`data.options.shares: {val: 0.2}`, or name the list: `data.options.lists: '{split}.txt'`."
        )
    one, other = pairs[0]
    raise DatasetNotFoundError(
        f"`{root}` must hold {split}/{one} and {split}/{other}, or {one}/{split} and {other}/{split}, or with a list "
        f"or shares {one} and {other}; it holds {held}. Rename the folders, choose another root or split, or name them "
        "(`data.options: {images: FOLDER, masks: FOLDER}`)."
    )


def _folders(root: Path, split: str, images: str, masks: str) -> tuple[Place, Place] | None:
    one, other = (Place.of(root, name.replace("{split}", split)) for name in (images, masks))
    return (one, other) if one.folders() and other.folders() else None
