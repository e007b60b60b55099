"""What the losses do first with a student's and a teacher's map."""

from torch import Tensor

from segdistill.losses.base import Maps
from segdistill.losses.common.resize import match_size
from segdistill.ops import check_map, check_together, working_dtype
from segdistill.util import ArgumentError


def matched_pair(
    student: Tensor, teacher: Tensor, student_channels: int | None = None, teacher_channels: int | None = None
) -> tuple[Tensor, Tensor]:
    """Check two maps (B, C, h, w) and make them comparable.

    Both come back in float32 or more; the student's resized bilinearly to the teacher's size, the teacher's
    without a gradient. Call it with autocast off.

    Raises:
        ValueError: If one is no map, batches or devices differ, or a width is not the one given.
    """
    check_map("student", student, student_channels)
    check_map("teacher", teacher, teacher_channels)
    check_together(student, teacher)
    dtype = working_dtype(student, teacher)
    teacher = teacher.detach().to(dtype)
    return match_size(student.to(dtype), teacher), teacher


def map_pairs(student: Maps, teacher: Maps) -> list[tuple[Tensor, Tensor]]:
    """Pair the student's maps with the teacher's, of which there may be one or several.

    Raises:
        ValueError: If one has more than the other, or there are none.
    """
    students, teachers = ([x] if isinstance(x, Tensor) else list(x) for x in (student, teacher))
    if len(students) != len(teachers) or not students:
        raise ArgumentError(
            f"`student` and `teacher` must be as many maps, at least one; got {len(students)} and {len(teachers)}."
        )
    return list(zip(students, teachers, strict=True))


def check_same_channels(student: Tensor, teacher: Tensor, remedy: str) -> None:
    """Refuse two maps that cannot be compared channel by channel."""
    if student.shape[1] != teacher.shape[1]:
        raise ArgumentError(
            f"`teacher` must have the channels of `student`; got {teacher.shape[1]} and {student.shape[1]}. {remedy}"
        )
