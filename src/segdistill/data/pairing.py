"""Images and masks of two folders brought together by name, or by a list of names."""

import logging
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from segdistill.data.base import Sample
from segdistill.data.pictures import IMAGE_SUFFIXES
from segdistill.data.places import Place
from segdistill.data.splits import Entry
from segdistill.util import ArgumentError, DataError, DatasetNotFoundError, quote, shorten

_log = logging.getLogger(__name__)

MASK_SUFFIXES: Final = (".png", ".bmp", ".tif", ".tiff")
_FOREIGN: Final = (".gif", ".npy", ".npz", ".mat", ".jp2", ".heic", ".psd", ".pdf", ".svg")
_STARTS: Final = "_-. "  # what an ending that is found begins with


class Names(NamedTuple):
    """The pictures of a place and those below it.

    Attributes:
        place: The folder, or the folders of a pattern.
        ending: What their names have after the key, with or without suffix.
        paths: By key: the scene, and the name with its folders, without suffix and ending; sorted by path.
    """

    place: Place
    ending: str
    paths: dict[str, Path]

    @classmethod
    def of(
        cls, place: Place, ending: str = "", *, suffixes: Sequence[str] = IMAGE_SUFFIXES, without: Place | None = None
    ) -> "Names":
        """Look into a place; hidden files, those without the ending, and those of another place below are passed over.

        Raises:
            DataError: If two files differ in their suffix alone.
        """
        suffix = next((known for known in (*suffixes, *_FOREIGN) if ending.lower().endswith(known)), "")
        stem_ending = ending.removesuffix(ending[len(ending) - len(suffix) :]) if suffix else ending
        allowed = (suffix,) if suffix else tuple(suffixes)
        passed = set() if without is None else {*without.folders().values()}
        found: dict[str, Path] = {}
        for scene, folder in place.folders().items():
            for path in sorted(folder.rglob("*")):
                inner = path.relative_to(folder)
                if path.suffix.lower() not in allowed or any(part.startswith(".") for part in inner.parts):
                    continue
                if any(folder / above in passed for above in inner.parents[:-1]):
                    continue
                stem = inner.with_suffix("").as_posix()
                if not stem.endswith(stem_ending):
                    continue
                key = scene + stem.removesuffix(stem_ending)
                if key in found:
                    raise DataError(
                        folder,
                        f"has two files named {key}: {found[key].name} and {path.name}",
                        "Remove one of them, or say which with `data.options.image_ending` or `mask_ending`: .png.",
                    )
                found[key] = path
        return cls(place, ending, found)

    def guess(self, key: str) -> Path:
        """Where the file of a key would be."""
        named = self.place.file(f"{key}{self.ending}")
        return named if named.suffix.lower() in (*IMAGE_SUFFIXES, *_FOREIGN) else Path(f"{named}.png")


def find_images(place: Place, ending: str | None, masks: Place, mask_ending: str | None) -> Names:
    """The images of a place; masks in the same folder, or in one below, are left out.

    Raises:
        ValueError: If images and masks lie in one folder and no ending tells which is which.
        DatasetNotFoundError: If there is no image.
        DataError: If two files differ in their suffix alone.
    """
    together = place.same_as(masks)
    if mask_ending is None and together:
        raise ArgumentError(
            f"`mask_ending` must tell masks from images, which lie in one folder, `{place.path}`; got none. "
            "Set `data.options.mask_ending: _mask`, or where suffixes differ `{image_ending: .jpg, mask_ending: .png}`."
        )
    images = Names.of(place, ending or "", without=masks)
    if mask_ending is not None and together:
        taken = {*_masks(masks, mask_ending, place, ()).paths.values()}
        images = images._replace(paths={key: path for key, path in images.paths.items() if path not in taken})
    if not images.paths:
        inside = (path for folder in place.folders().values() for path in folder.iterdir())
        held = shorten(sorted({path.suffix or path.name for path in inside if path.name[0] != "."}))
        raise DatasetNotFoundError(
            f"`{place.path}` must hold images named *{ending or ''} with one of the suffixes "
            f"{', '.join(IMAGE_SUFFIXES)}, but holds none; it holds {held or 'nothing'}. "
            "Check that the archive was unpacked there."
        )
    return images


def find_endings(images: Sequence[str], masks: Collection[str]) -> list[tuple[str, str]]:
    """Endings of images and masks that pair all images: the shortest of images, and every one of masks.

    >>> find_endings(["a", "b"], {"a_mask", "b_mask", "b_more"})
    [('', '_mask')]
    >>> find_endings(["a_image", "b_image"], {"a_label", "b_label"})
    [('_image', '_label')]
    """
    first = images[0]
    starts = [place for place in range(len(first) - 1, 0, -1) if first[place] in _STARTS and "/" not in first[place:]]
    for place in (len(first), *starts):
        ending = first[place:]
        if not all(name.endswith(ending) and len(name) > len(ending) for name in images):
            continue
        stems = [name.removesuffix(ending) for name in images]
        rests = (name[len(stems[0]) :] for name in masks if name.startswith(stems[0]))
        endings = sorted({rest for rest in rests if not rest or (rest[0] in _STARTS and "/" not in rest)})
        if found := [(ending, rest) for rest in endings if all(stem + rest in masks for stem in stems)]:
            return found
    return []


def find_masks(images: Names, place: Place, keys: Sequence[str], ending: str | None) -> tuple[Names, dict[str, str]]:
    """The masks of a place, and the key of the mask of every key of an image.

    Raises:
        DataError: If no ending, or more than one, pairs the images.
    """
    masks = _masks(place, ending or "", images.place, keys)
    if any(key in masks.paths for key in keys):
        return masks, {key: key for key in keys}
    if ending is not None:
        raise _unpaired(place, keys, _masks(place, "", images.place, keys))
    found = find_endings(keys, masks.paths.keys())
    if len(found) == 1:
        (cut, rest) = found[0]
        _log.info("The masks in %s are those of the images by the ending %s (images: %r).", place.path, rest, cut)
        kept = {key.removesuffix(rest): path for key, path in masks.paths.items() if key.endswith(rest)}
        return Names(place, rest, kept), {key: key.removesuffix(cut) for key in keys}
    if found:
        raise DataError(
            place.path,
            f"has masks of all {len(keys)} images with {len(found)} endings: {quote(rest for _, rest in found)}",
            f"Choose one: `data.options.mask_ending: {found[0][1]}`.",
        )
    raise _unpaired(place, keys, masks)


def _masks(place: Place, ending: str, images: Place, keys: Sequence[str]) -> Names:
    """The masks of a place, where one is missing also those of formats that are not read: a sentence says so later."""
    masks = Names.of(place, ending, without=images)
    if all(key in masks.paths for key in keys):
        return masks
    return masks._replace(paths=Names.of(place, ending, suffixes=_FOREIGN, without=images).paths | masks.paths)


def _unpaired(place: Place, keys: Sequence[str], masks: Names) -> DataError:
    first = next((key for key in keys if find_endings([key], masks.paths.keys())), None)
    if first is None:
        held = shorten((path.name for path in masks.paths.values()), 3) or "no picture"
        return DataError(
            place.path,
            f"must hold the masks of {len(keys)} images, named like them ({keys[0]}.png); it holds {held}",
            "Rename the masks, or say where they are (`data.options.masks: FOLDER`), how their names end "
            "(`data.options.mask_ending: _mask`), or by a list which mask is whose, `a.jpg b.png` a line "
            "(`data.options.lists: '{split}.txt'`).",
        )
    cut, rest = find_endings([first], masks.paths.keys())[0]
    count = sum(key.removesuffix(cut) + rest in masks.paths for key in keys)
    image = f", image_ending: {cut}" if cut else ""
    return DataError(
        place.path,
        f"has masks of {count} of {len(keys)} images with the ending `{rest}`, and no other way pairs them all",
        f"Set `data.options: {{mask_ending: {rest}{image}}}`; then `segdistill check` names the images without one.",
    )


def choose(images: Names, root: Path, entries: Iterable[Entry], source: Path) -> dict[str, str | None]:
    """The key of every image of a list, and its mask if the list names it.

    Names may be keys, or written from the folder of images or from the root, with or without suffix. One without an
    image is its own key.

    Raises:
        DataError: If no name of the list is an image.
    """
    key_of = {name: key for key, path in images.paths.items() for name in (key, f"{key}{path.suffix}")}
    for base in (images.place.folder, root):
        for key, path in images.paths.items():
            if path.is_relative_to(base):
                inner = path.relative_to(base)
                key_of |= {inner.as_posix(): key, inner.with_suffix("").as_posix(): key}
    picked: dict[str, str | None] = {}
    for entry in entries:
        columns = entry.image.split()
        two = entry.mask is None and entry.image not in key_of and len(columns) == 2
        name, mask = columns if two else entry
        assert name is not None
        picked[key_of.get(name, name)] = mask
    if not picked.keys() & images.paths.keys():
        held = shorten((path.name for path in images.paths.values()), 3)
        raise DataError(
            source,
            f"lists {len(picked)} images, of which `{images.place.path}` holds none; the first is "
            f"{next(iter(picked))}, and the folder holds {held}",
            "Correct the list, or say where the images are: `data.options.images: FOLDER`.",
        )
    return picked


def match(
    images: Names, place: Place, picked: dict[str, str | None], *, root: Path, ending: str | None, listed: bool
) -> tuple[list[Sample], list[Path]]:
    """Samples of the picked images, sorted by path, and the masks of the place that belong to no image of its own.

    Args:
        images: All images.
        place: Of the masks.
        picked: Keys of the images to pair, each with the name of its mask if a list has it.
        root: The folder of the data set, from where such names may be written.
        ending: Of masks; None to find it.
        listed: Whether names come from a list, which is not to be trusted: links must not leave the folders.

    Raises:
        DataError: If the masks cannot be told, or none is of a format that is read.
    """
    keys = [key for key, mask in picked.items() if mask is None and key in images.paths]
    masks, mask_key = find_masks(images, place, keys, ending) if keys else (Names(place, "", {}), {})
    image_roots, mask_roots = [images.place.folder.resolve()], [place.folder.resolve(), root.resolve()]
    samples: list[Sample] = []
    for key, named in picked.items():
        image = images.paths.get(key) or images.guess(key)
        key = mask_key.get(key, key)
        mask = masks.paths.get(key, masks.guess(key))
        if named is not None:
            told = [place.folder / named, root / named, place.file(named)]
            mask = next((path for path in told if path.is_file()), told[0])
        samples.append((_kept(image, image_roots), _kept(mask, mask_roots)) if listed else (image, mask))
    _refuse_foreign(place.path, [mask for _, mask in samples if mask is not None])
    belonging = {mask_key.get(key, key.removesuffix(_cut(mask_key))) for key in images.paths}
    return sorted(samples), [path for key, path in masks.paths.items() if key not in belonging]


def _kept(path: Path, folders: Sequence[Path]) -> Path:
    """Return the path unless it, or a folder on its way, is a link out of these folders."""
    real = path.resolve()
    if not any(real.is_relative_to(folder) for folder in folders):
        raise DataError(path, f"leaves `{folders[0]}` by a link", "Replace the link by the file itself.")
    return path


def _cut(mask_key: dict[str, str]) -> str:
    """The ending of images that was found, if one was."""
    key, mask = next(iter(mask_key.items()), ("", ""))
    return key.removeprefix(mask)


def _refuse_foreign(folder: Path, masks: Sequence[Path]) -> None:
    suffixes = {mask.suffix.lower() for mask in masks}
    if not masks or suffixes & {*MASK_SUFFIXES}:
        return
    kind = quote(sorted(suffixes))
    lossy = ", whose compression alters ids" if suffixes & {".jpg", ".jpeg", ".webp"} else ""
    raise DataError(
        folder,
        f"must hold masks as {', '.join(MASK_SUFFIXES)}; all {len(masks)} of them, {masks[0].name} first, are {kind}"
        f"{lossy}",
        "Save the masks as PNG"
        + (" from the originals, not from these files." if lossy else ", which keeps every id; names stay."),
    )
