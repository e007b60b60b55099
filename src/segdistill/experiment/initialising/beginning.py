"""The verb that looks at a folder and writes the first recipes for it."""

import shlex
from pathlib import Path
from typing import Any, NamedTuple

from segdistill.data import DATASETS
from segdistill.experiment.initialising.depth import find_depth
from segdistill.experiment.initialising.ids import Values, propose, read_values
from segdistill.experiment.initialising.layouts import LAYOUTS, Layout, find_layout
from segdistill.experiment.initialising.measures import FEWEST, MOST, PASSES, measure, workers
from segdistill.experiment.initialising.names import find_classes
from segdistill.experiment.initialising.public import find_public
from segdistill.experiment.initialising.sentences import (
    beside,
    groups,
    images_in_words,
    rivals,
    sizes,
    split_keys,
    unlabelled_and_scale,
    without_masks,
)
from segdistill.experiment.initialising.tree import TRAIN, Tree, inside_alone, look
from segdistill.experiment.initialising.unlabelled import find_unlabelled
from segdistill.experiment.initialising.writing import DISTILLED, TEACHER, Draft, student
from segdistill.util import (
    ArgumentError,
    DataError,
    DatasetNotFoundError,
    SegdistillError,
    as_path,
    shorten,
    verb,
    write_atomic,
)

FILES = ("student.yaml", "teacher.yaml", "distilled.yaml")


class Begun(NamedTuple):
    """Recipes that were written.

    Attributes:
        files: ``student.yaml``, ``teacher.yaml``, ``distilled.yaml``.
        dataset: Name of the data set that they use.
        found: What the folder was taken for: sentences by what they are about.
        open: What a person must settle before a run; empty if nothing.
        commands: What to type next.
    """

    files: list[Path]
    dataset: str
    found: dict[str, str]
    open: list[str]
    commands: list[str]

    def frame(self) -> list[dict[str, Any]]:
        """A row a finding: ``about``, ``found``."""
        rows = [{"about": about, "found": text} for about, text in self.found.items()]
        return rows + [{"about": "to settle", "found": text} for text in self.open]


@verb
def init(folder: str | Path, out: str | Path = ".", *, force: bool = False) -> Begun:
    """Look at a folder of images and masks, and write the recipes of a student, a teacher and a distillation.

    Nothing is guessed in silence: every proposal is a comment in the recipe.

    Args:
        folder: Of the data set.
        out: Where the recipes go.
        force: Replace recipes that are there.

    Raises:
        DatasetNotFoundError: If there is no folder, or nothing in it that is known: what was found, and what is known.
        ArgumentError: If a recipe is there already.
        DataError: If masks or lists cannot be read.

    Example:
        ``sd.init("my_data").found["classes"]`` is ``"3, named by classes.txt"``.
    """
    root, place = as_path("folder", folder), as_path("out", out)
    if not root.is_dir():
        raise DatasetNotFoundError(f"`folder` must be a folder of images and masks; `{root}` is none.")
    files = [place / name for name in FILES]
    if (there := [str(path) for path in files if path.exists()]) and not force:
        raise ArgumentError(f"{shorten(there)} would be overwritten. Choose another --out, or allow it with --force.")
    root = inside_alone(root)
    tree = look(root)
    layout, draft, found, settle = _draft(tree)
    for path, text in zip(files, (student(draft), TEACHER, DISTILLED), strict=True):
        write_atomic(path, text.encode())
    recipes = [shlex.quote(str(path)) for path in files]
    commands = [
        f"segdistill check {recipes[0]}",
        f"segdistill train {recipes[1]} --out runs/teacher",
        f"segdistill train {recipes[0]} --out runs/student",
        f"segdistill train {recipes[2]} --out runs/distilled",
    ]
    return Begun(files, layout.dataset, found, settle, commands)


def _draft(tree: Tree) -> tuple[Layout, Draft, dict[str, str], list[str]]:
    """Everything that the folder says."""
    layout = find_public(tree.root) if find_classes(tree.root, ()).listed is None else None
    reasons: dict[str, str] = {}
    settle: list[str] = []
    if layout is None:
        layout, options, reasons, classes, settle = _own(tree)
    else:
        options = layout.options
        labels = DATASETS[layout.dataset](tree.root, layout.splits[TRAIN], **options).labels
        classes = f"{labels.num_classes}, those of {layout.said}"
    left = find_unlabelled(tree, layout)
    images = [image for split in layout.samples.values() for image, _ in split]
    measures = measure(images, len(layout.samples[TRAIN]))
    if "shares" in options:
        drawn = "scenes" if "group" in options else "images"
        reasons["shares"] = (
            f"proposal: no split is said; {drawn} are drawn by name. Or write lists train.txt and val.txt"
        )
    if "group" in options:
        reasons["group"] = "proposal: images of a scene are alike, so that all of them are in one split"
    train = [image for image, _ in layout.samples[TRAIN]]
    depth = find_depth(train, DATASETS[layout.dataset](tree.root, layout.splits[TRAIN], **options), workers())
    how = f"{PASSES} passes over {len(layout.samples[TRAIN])} training images, at least {FEWEST:,} and at most {MOST:,}"
    draft = Draft(
        f"segdistill init {tree.root}", layout.dataset, str(tree.root), split_keys(layout), options, reasons,
        [*rivals(layout), *groups(tree.root, layout, options)], unlabelled_and_scale(left, measures), measures, how,
        depth,
    )  # fmt: skip
    found = {
        "folder": f"{tree.root}: {layout.said} (data set `{layout.dataset}`)",
        "images": ", ".join(f"{layout.splits[role]} {len(split):,}" for role, split in layout.samples.items()),
        "classes": classes,
        "sizes": sizes(measures),
        "training": f"crops of {measures.crop[0]} x {measures.crop[1]}, {measures.batch} a step, {measures.steps:,} "
        f"steps: {how}",
    }
    if depth is not None:
        found["channels"] = f"{depth.channels} of {depth.bits} bits, all read; mean and deviation are measured"
    if layout.unused:
        settle.append(f"further pairs are left out: {shorten(layout.unused, 3)}; put all into one pair of folders")
    if layout.also:
        found["or"] = f"other masks fit these images too: {shorten(layout.also, 3)}"
    if without := without_masks(left):
        found["no mask"] = without
    if left.faulty:
        settle.append(
            f"{images_in_words(left.faulty)} of the splits without a mask: add masks, or move the images elsewhere"
        )
    if layout.leftover:
        settle.append(f"masks without an image: {shorten((mask.name for mask in layout.leftover), 3)}")
    return layout, draft, found, settle


def _own(tree: Tree) -> tuple[Layout, dict[str, Any], dict[str, str], str, list[str]]:
    """A folder of one's own: its layout, options with reasons, its classes in words, what to settle."""
    layout, refused = find_layout(tree)
    if layout is None:
        if refused:
            raise refused[0]
        held = [f"{name} ({count} pictures)" for name, count in tree.pictures.items()]
        raise DatasetNotFoundError(
            f"`{tree.root}` must hold images and masks whose names pair; it holds "
            f"{shorten(held, 6) or 'no pictures'}.{beside(tree)} Known layouts: {LAYOUTS}. "
            "docs/data.md has the options of others."
        )
    images = [image for split in layout.samples.values() for image, _ in split]
    named = find_classes(tree.root, images)
    masks = [mask for split in layout.samples.values() for _, mask in split if mask is not None and mask.is_file()]
    values = read_values(masks, workers())
    _refuse(tree.root, values)
    proposal = propose(values, named.listed, named.source)
    options = layout.options | named.options | proposal.options
    reasons = named.reasons | proposal.reasons
    settle = [*proposal.open, *(str(error) for error in values.unread[:1])]
    try:
        for word in layout.splits.values():
            DATASETS["folder"](tree.root, word, **options)
    except SegdistillError as error:
        settle.append(str(error))
    return layout, options, reasons, proposal.said, settle


def _refuse(root: Path, values: Values) -> None:
    if not values.ids and not values.colors:
        raise values.unread[0]
    kinds = max(len(values.ids), len(values.colors))
    if kinds > 200:
        raise DataError(
            root,
            f"has masks with {kinds} different {'values' if values.ids else 'colours'}, which cannot all be classes",
            "Save class numbers, resized without interpolation: many values come from masks that were scaled smoothly "
            "or saved as photographs.",
        )
    if kinds < 2:
        value = next(iter(values.ids or values.colors))
        raise DataError(
            root,
            f"has masks that hold nothing but {value}, so that there is one class and nothing to learn",
            "Save the masks with one value a class, the background too.",
        )
