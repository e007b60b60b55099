"""Two lists of classes, compared by name."""

from collections.abc import Sequence

from segdistill.util import ArgumentError


def refuse_other_classes(who: str, theirs: Sequence[str], ours: Sequence[str]) -> None:
    """Refuse a network that tells other classes apart than the data set does, or the same ones in another order.

    Raises:
        ArgumentError: Naming the first that differs: scores would stand under wrong names.
    """
    if list(theirs) == list(ours):
        return
    for number, (one, other) in enumerate(zip(theirs, ours, strict=False)):
        if one != other:
            where = f"class {number} is {one!r} there and {other!r} here"
            break
    else:
        where = f"it knows {len(theirs)}, the data has {len(ours)}"
    order = " They are the same names in another order." if sorted(theirs) == sorted(ours) else ""
    raise ArgumentError(
        f"{who} must know the classes of the data; {where}.{order} Give the data set the list it was trained with."
    )
