"""What the result of a run says of its teachers: scores and cost."""

from collections.abc import Callable, Mapping, Sequence

from segdistill.engine import Segment
from segdistill.experiment.describing import teacher_name
from segdistill.experiment.session import Built
from segdistill.experiment.teachers import known_names, knows_classes
from segdistill.labels import LabelTable
from segdistill.measure import count_macs
from segdistill.networks import ALONE, MEAN, Teacher, Teachers, classes_of_mean, named_teachers
from segdistill.recipe import Recipe
from segdistill.store import Asked, TeacherScore
from segdistill.util import ArgumentError

Score = Callable[[Segment, Sequence[int] | None], float]
"""From a network, and the train ids that it knows, to its mIoU."""


def segments_of(teacher: Teacher | Teachers | None, labels: LabelTable) -> dict[str, Segment]:
    """Everything that teaches logits, from images to scores of all classes: each teacher, and of several their mean."""
    named = named_teachers(teacher)
    segments: dict[str, Segment] = {name: one.segment for name, one in named.items() if knows_classes(one, labels)}
    if isinstance(teacher, Teachers) and len(segments) > 1:
        try:
            classes_of_mean({name: named[name] for name in segments})
        except ArgumentError:  # they know different classes, so that no term can read a mean
            return segments
        segments[MEAN] = teacher.segment
    return segments


def shown_teacher(teacher: Teacher | Teachers | None, labels: LabelTable) -> dict[str, Segment]:
    """The teacher of pictures, called ``teacher``: the only one, of several their mean, else the first; or none."""
    segments = segments_of(teacher, labels)
    shown = segments.get(MEAN) or next(iter(segments.values()), None)
    return {} if shown is None else {ALONE: shown}


def teacher_records(
    recipe: Recipe, built: Built, score: Score | None, latency: Mapping[str, float], asked: Mapping[str, Asked]
) -> dict[str, TeacherScore]:
    """Score and cost of every teacher, and of their mean.

    Args:
        recipe: Names them.
        built: Has them.
        score: Scores one; None without a set to score it on.
        latency: Milliseconds of an image, by name.
        asked: What they knew before the training.
    """
    segments, records = segments_of(built.teacher, built.labels), {}
    for name, teacher in built.teachers.items():
        known = None if teacher.classes is None else teacher.classes.known
        partial = len(known_names(teacher, built.labels)) < built.labels.num_classes
        records[name] = TeacherScore(
            name=teacher_name(recipe.taught_by[name]),
            miou=score(segments[name], known) if score is not None and name in segments else None,
            classes=list(known_names(teacher, built.labels)) if partial else [],
            params=sum(parameter.numel() for parameter in teacher.parameters()),
            macs=count_macs(teacher, recipe.data.channels, recipe.data.crop_size),
            ms_per_image=latency.get(name),
            asked=asked.get(name),
        )
    if MEAN in segments:
        classes, _ = classes_of_mean({name: built.teachers[name] for name in segments if name != MEAN})
        parts = [record for name, record in records.items() if name in segments]
        records[MEAN] = TeacherScore(
            name=MEAN,
            miou=None if score is None else score(segments[MEAN], None if classes is None else classes.known),
            classes=parts[0].classes,
            params=sum(record.params or 0 for record in parts),
            macs=sum(record.macs or 0 for record in parts),
            ms_per_image=latency.get(MEAN),
        )
    return records


def main_teacher(records: Mapping[str, TeacherScore]) -> TeacherScore | None:
    """The one that a table shows: the only one, of several their mean, else the first."""
    return records.get(ALONE if len(records) == 1 else MEAN) or next(iter(records.values()), None)
