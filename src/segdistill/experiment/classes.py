"""A network scored on data whose classes stand in another order."""

import logging

from torch import Tensor

from segdistill.engine import Segment
from segdistill.labels import LabelTable
from segdistill.networks import Network, map_classes
from segdistill.util import ArgumentError

logger = logging.getLogger(__name__)


def in_order(who: str, network: Network, labels: LabelTable) -> Segment:
    """The scores of a network in the order of the data's classes, by name.

    Raises:
        ArgumentError: If it tells other classes apart, naming the first that differs: scores would stand under wrong
            names.
    """
    theirs, ours = (labels if network.labels is None else network.labels).names, labels.names
    if sorted(theirs) != sorted(ours):
        where = f"it knows {len(theirs)}, the data has {len(ours)}"
        for number, (one, other) in enumerate(zip(theirs, ours, strict=False)):
            if one != other:
                where = f"class {number} is {one!r} there and {other!r} here"
                break
        raise ArgumentError(
            f"{who} must know the classes of the data; {where}. Give the data set the list it was trained with."
        )
    classes = map_classes(theirs, ours)
    if classes is None:
        return network.segment
    logger.info("%s has the classes of the data in another order: they are brought in order by name.", who)
    ordered = classes.to(network.feed.mean.device)

    def segment(image: Tensor) -> Tensor:
        logits: Tensor = ordered(network.segment(image))
        return logits

    return segment
