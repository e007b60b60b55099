"""Images without labels."""

import glob
from collections.abc import Sequence
from pathlib import Path

from segdistill.data.base import SegmentationDataset
from segdistill.data.layout import files
from segdistill.data.pictures import IMAGE_SUFFIXES
from segdistill.labels import LabelTable
from segdistill.util import DatasetNotFoundError


class Images(SegmentationDataset):
    """A folder, a glob or a single file of unlabelled images; every target is ``IGNORE_INDEX``.

    For prediction, and for distillation on images nobody annotated.

    Args:
        root: A folder (its images, not those of subfolders), a file, or a pattern such as
            ``"frames/**/*.jpg"``.
        split: Kept, not used: all images belong to every split.
        classes: Names of the classes the networks know; there are no masks to tell.

    Raises:
        DatasetNotFoundError: If nothing matches.
    """

    def __init__(self, root: Path | str, split: str = "train", *, classes: Sequence[str] = ("unlabeled",)) -> None:
        path = Path(root)
        if path.is_dir():
            found = files(path)
        else:
            matches = [path] if path.exists() else map(Path, sorted(glob.glob(str(root), recursive=True)))
            found = [match for match in matches if match.suffix.lower() in IMAGE_SUFFIXES]
        if not found:
            raise DatasetNotFoundError(
                f"`root` must be an image, a folder or a pattern of images ({', '.join(IMAGE_SUFFIXES)}); "
                f"got `{root}`, which matches none. Check the path, and quote a pattern in a shell."
            )
        labels = LabelTable.from_names(classes, name="images")
        super().__init__(root, split, labels=labels, samples=[(image, None) for image in found])
