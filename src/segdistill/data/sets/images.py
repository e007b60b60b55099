"""Images without labels."""

import glob
from collections.abc import Sequence
from pathlib import Path

from segdistill.data.base import SegmentationDataset
from segdistill.data.layout import files
from segdistill.data.pairing import Names, choose
from segdistill.data.pictures import IMAGE_SUFFIXES
from segdistill.data.places import Place
from segdistill.data.splits import read_list
from segdistill.labels import LabelTable
from segdistill.util import DataError, DatasetNotFoundError, shorten


class Images(SegmentationDataset):
    """A folder, a glob, a list or a single file of unlabelled images; every target is ``IGNORE_INDEX``.

    For prediction, and for distillation on images nobody annotated.

    Args:
        root: A folder (its images, not those of subfolders), a file, or a pattern such as
            ``"frames/**/*.jpg"``, or a list, ``.txt``: a name a line, with or without suffix.
        split: Kept, not used: all images belong to every split.
        classes: Names of the classes the networks know; there are no masks to tell.
        images: Folder that the names of a list are in; default: the folder of the list.

    Raises:
        DatasetNotFoundError: If nothing matches.
        DataError: If a list names images that are not there.
    """

    def __init__(
        self,
        root: Path | str,
        split: str = "train",
        *,
        classes: Sequence[str] = ("unlabeled",),
        images: Path | str | None = None,
    ) -> None:
        path = Path(root)
        if path.is_dir():
            found = files(path)
        elif path.suffix.lower() == ".txt" and path.is_file():
            found = _listed(path, path.parent if images is None else Path(images))
        else:
            matches = [path] if path.exists() else map(Path, sorted(glob.glob(str(root), recursive=True)))
            found = [match for match in matches if match.suffix.lower() in IMAGE_SUFFIXES]
        if not found:
            raise DatasetNotFoundError(
                f"`root` must be an image, a folder, a list (.txt) or a pattern of images "
                f"({', '.join(IMAGE_SUFFIXES)}); got `{root}`, which matches none. "
                "Check the path, and quote a pattern in a shell."
            )
        labels = LabelTable.from_names(classes, name="images")
        super().__init__(root, split, labels=labels, samples=[(image, None) for image in found])


def _listed(source: Path, folder: Path) -> list[Path]:
    held = Names.of(Place(folder))
    picked = choose(held, source.parent, read_list(source), source)
    missing = [name for name in picked if name not in held.paths]
    if missing:
        raise DataError(
            source,
            f"lists {len(missing)} images that `{folder}` does not hold: {shorten(missing, 3)}",
            "Restore them, or remove their names.",
        )
    return [held.paths[name] for name in picked]
