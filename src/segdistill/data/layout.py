"""Finding the files of a layout: folders that must exist, files paired by stem, lists of names."""

from collections.abc import Iterable
from pathlib import Path

from segdistill.data.base import Sample
from segdistill.data.pictures import IMAGE_SUFFIXES
from segdistill.util import DataError, DatasetNotFoundError, shorten


def require(root: Path | str, *relative: str, layout: str) -> tuple[Path, ...]:
    """Return the paths below the root, all of which must exist.

    Args:
        root: The root of the data set.
        *relative: Folders or files below it.
        layout: The expected layout and where to get the data: the end of the message.

    Raises:
        DatasetNotFoundError: Naming the first that is missing.
    """
    paths = tuple(Path(root) / name for name in relative)
    for path in (Path(root), *paths):
        if not path.exists():
            raise DatasetNotFoundError(f"`{path}` must exist, but does not. {layout}")
    return paths


def files(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Visible files of a folder that have one of the suffixes, sorted by name."""
    allowed = tuple(suffixes)
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in allowed and not path.name.startswith("."))


def by_stem(folder: Path, ending: str = "") -> dict[str, Path]:
    """Image files of a folder by their name without suffix and without ``ending``; others are left out.

    Raises:
        DataError: If two files differ in their suffix alone.
    """
    found: dict[str, Path] = {}
    for path in files(folder):
        if not path.stem.endswith(ending):
            continue
        stem = path.stem.removesuffix(ending)
        if stem in found:
            raise DataError(
                folder,
                f"has two files named {stem}: {found[stem].name} and {path.name}",
                "Remove one of them.",
            )
        found[stem] = path
    return found


def pair(
    images: Path, masks: Path, *, image_ending: str = "", mask_ending: str = ""
) -> tuple[list[Sample], list[Path]]:
    """Pair the images of one folder with the masks of another by stem.

    An image without a mask is paired with the path its mask should have, so that loading it names that path.

    Returns:
        Samples, sorted by image name, and the masks that belong to no image.

    Raises:
        DataError: If a stem occurs twice in a folder.
        DatasetNotFoundError: If there are no images.
    """
    image_of, mask_of = by_stem(images, image_ending), by_stem(masks, mask_ending)
    if not image_of:
        raise DatasetNotFoundError(
            f"`{images}` must hold images named *{image_ending} with one of the suffixes "
            f"{', '.join(IMAGE_SUFFIXES)}, but holds none. Check that the archive was unpacked there."
        )
    samples: list[Sample] = [
        (path, mask_of.pop(stem, masks / f"{stem}{mask_ending}.png")) for stem, path in image_of.items()
    ]
    return samples, list(mask_of.values())


def read_names(path: Path) -> list[str]:
    """Read a list file: one file name without suffix a line; empty lines are skipped.

    Raises:
        DataError: If an entry is more than a name (it could leave the data set), or occurs twice.
    """
    names = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    strange = [name for name in names if Path(name).name != name or "\\" in name or name.startswith(".")]
    if strange:
        raise DataError(path, f"must list plain file names, got {shorten(strange)}", "Leave out folders and suffixes.")
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DataError(path, f"lists names twice: {shorten(twice)}", "Keep each name once.")
    if not names:
        raise DataError(path, "lists no names", "Restore the list of the data set.")
    return names


def inside(path: Path, folder: Path) -> Path:
    """Return ``path`` unless it is a link that leads out of ``folder``.

    Raises:
        DataError: If it is.
    """
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(path, f"is a link that leaves `{folder}`", "Replace the link by the file itself.")
    return path
