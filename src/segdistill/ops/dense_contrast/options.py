"""The options of the dense contrast: their names, and what is refused before a map is seen."""

from collections.abc import Sequence
from typing import Literal, get_args

from segdistill.ops.checks import check_choice, check_count, check_positive, check_size
from segdistill.ops.impl import check_impl
from segdistill.util import ArgumentError

Distance = Literal["l1", "l2", "cosine"]
Negatives = Literal["other_groups", "omni", "channel", "spatial"]


def check_options(
    channels: int,
    groups: int,
    patch_size: Sequence[int],
    *,
    temperature: float,
    distance: str,
    negatives: str,
    impl: str,
) -> tuple[int, int]:
    """Check what can be checked before a map is seen, and return the patch size as a tuple.

    Raises:
        ValueError: If a name is unknown, a number out of range, or no cell would have a negative.
    """
    check_choice("distance", distance, get_args(Distance))
    check_choice("negatives", negatives, get_args(Negatives))
    check_impl(impl)
    check_count("groups", groups)
    check_positive("temperature", temperature)
    patch_size = check_size("patch_size", patch_size)
    if negatives != "spatial" and channels % groups:
        raise ArgumentError(f"`groups` must divide the number of channels; got {groups} groups of {channels} channels.")
    if num_negatives(negatives, groups, patch_size) == 0:
        raise ArgumentError(
            f"`negatives` must leave every cell something to differ from; got {negatives!r} with {groups} "
            f"group(s) and patches of {patch_size[0]}x{patch_size[1]}. Use more groups or larger patches."
        )
    return patch_size


def num_negatives(negatives: str, groups: int, patch_size: tuple[int, int]) -> int:
    """Return the number of negatives of one anchor; log(1 + that) is the loss of a blind guess.

    >>> num_negatives("other_groups", 16, (4, 4))
    240
    """
    positions = patch_size[0] * patch_size[1]
    return {
        "other_groups": positions * (groups - 1),
        "omni": positions * groups - 1,
        "channel": groups - 1,
        "spatial": positions - 1,
    }[negatives]
