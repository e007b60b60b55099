"""Pictures of a comparison: the images on which its methods differ most."""

from collections.abc import Sequence
from pathlib import Path

from segdistill import store
from segdistill.comparison.planning import NO_OWN, Own
from segdistill.data import Selection, eval_loader
from segdistill.experiment import (
    build_datasets,
    build_protocol,
    build_teachers,
    make_accelerator,
    recipe_of,
    shown_teacher,
    write_gallery,
)
from segdistill.prediction import load
from segdistill.store import Gallery, Images, ImageScore, first_runs, read_comparison


def write_galleries(folder: Path, networks: Own = NO_OWN) -> None:
    """Give the first seed of every method, and the teacher, pictures of the images on which methods differ most."""
    runs = {name: run for name, run in first_runs(read_comparison(folder)).items() if (run / store.IMAGES).is_file()}
    students = [run for name, run in runs.items() if name != "teacher"]
    if not students:
        return
    recipe = recipe_of(students[0])
    scores = {run: store.read_record(Images, run / store.IMAGES).images for run in runs.values()}
    shown = _most_different([scores[run] for run in students], recipe.train.gallery)
    stale = [run for run in scores if not _shows(run, [scores[run][index] for index in shown])]
    if not shown or not stale:
        return
    _, val_set, test_set = build_datasets(recipe)
    split = test_set or val_set
    assert split is not None
    device = make_accelerator(recipe).device
    for run in stale:
        own = recipe_of(run)
        student = None if run == runs.get("teacher") else networks.student
        teacher = build_teachers(own, split.labels, own=networks.teacher) if own.terms else None
        shown_by = shown_teacher(None if teacher is None else teacher.to(device), split.labels)
        write_gallery(
            run / store.GALLERY,
            {"prediction": load(run, student).to(device).network.segment} | shown_by,
            eval_loader(Selection([(split, index) for index in shown]), image_scale=recipe.data.image_scale),
            [scores[run][index] for index in shown],
            colors=split.labels.colors,
            device=device,
            protocol=build_protocol(recipe),
        )


def _most_different(scores: Sequence[Sequence[ImageScore]], count: int) -> list[int]:
    """Images by the spread of their mIoU over the methods, widest first."""
    spreads = {}
    for index, images in enumerate(zip(*scores, strict=True)):
        values = [image.miou for image in images if image.miou is not None]
        if len(values) == len(images):
            spreads[index] = max(values) - min(values)
    return sorted(spreads, key=lambda index: -spreads[index])[:count]


def _shows(run: Path, samples: Sequence[ImageScore]) -> bool:
    index = run / store.GALLERY_INDEX
    return index.is_file() and store.read_record(Gallery, index).samples == list(samples)
