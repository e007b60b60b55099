"""Two lists of classes that are not the same: which classes of a teacher mean a class of the student."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from segdistill.util import ArgumentError, nearest, quote

Wanted = Mapping[str, str | Sequence[str]] | Literal["auto", "none"]
"""What a user says of the classes: names by names, ``auto`` for equal names, ``none`` for no class at all."""

NEVER: Final = -1e4
"""Score of a class that a network does not know: finite, so that it can be resized, and never the largest."""


class ClassMap(nn.Module):
    """From the scores of a teacher's classes to those of the student's classes that it knows.

    Args:
        sources: For every class of the student, the channels of the teacher that mean it; none: it is not known.

    Attributes:
        known: Train ids of the student's classes that the teacher knows, ascending.
        num_classes: Of the student.

    Example:
        >>> classes = ClassMap([[2], [], [0, 1]])
        >>> classes.known, classes(torch.zeros(1, 4, 2, 2)).exp()[0, :, 0, 0]
        ((0, 2), tensor([1., 2.]))
    """

    index: Tensor
    known_index: Tensor

    def __init__(self, sources: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.sources = tuple(tuple(channels) for channels in sources)
        self.known = tuple(train_id for train_id, channels in enumerate(self.sources) if channels)
        self.num_classes = len(self.sources)
        index = torch.tensor([channel for channels in self.sources for channel in channels], dtype=torch.int64)
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("known_index", torch.tensor(self.known, dtype=torch.int64), persistent=False)

    @cached_property
    def _sizes(self) -> list[int]:
        return [len(self.sources[train_id]) for train_id in self.known]

    def forward(self, logits: Tensor) -> Tensor:
        r"""Scores (B, len(known), h, w) whose softmax is the teacher's distribution over what both know.

        A class has the sum of the probabilities of its sources: the log of a sum of exponentials of their scores, which
        differs from that of their log-probabilities by a constant a pixel. Classes of the teacher that mean nothing to
        the student are left out, so that the softmax shares their probability among the others.

        Args:
            logits: Of the teacher, (B, K, h, w).
        """
        picked = logits.index_select(1, self.index)
        if picked.shape[1] == len(self.known):
            return picked
        groups = torch.split(picked.to(torch.promote_types(picked.dtype, torch.float32)), self._sizes, dim=1)
        return torch.cat([group if group.shape[1] == 1 else group.logsumexp(1, keepdim=True) for group in groups], 1)

    def widen(self, known: Tensor) -> Tensor:
        """Scores of all classes of the student, (B, K, h, w), from those that are known; the others never win."""
        if len(self.known) == self.num_classes:
            return known
        wide = known.new_full((len(known), self.num_classes, *known.shape[2:]), NEVER)
        return wide.index_copy(1, self.known_index, known)


def map_classes(
    theirs: Sequence[str], ours: Sequence[str], wanted: Wanted | None = None, *, who: str = "the teacher"
) -> ClassMap | None:
    """Bring a teacher's classes together with the student's, by name.

    Args:
        theirs: The teacher's classes, in the order of its channels.
        ours: The student's, in the order of train ids.
        wanted: The student's names with the teacher's names that mean them, ``{"road": ["road", "lane marking"]}``; a
            mapping from the teacher's names to the student's, one each, is understood too. ``"auto"``: equal names,
            whatever their case. ``"none"``: the teacher knows no class and teaches features only. Default None: the
            names must be the same, in any order.
        who: For messages.

    Returns:
        None where the lists are equal and nothing else is asked for.

    Raises:
        ArgumentError: If names differ and nothing is said about it, a name is unknown, or no class is known.

    Example:
        >>> map_classes(["car", "road"], ["road", "car"]).sources
        ((1,), (0,))
        >>> map_classes(["road", "lane marking", "sky"], ["road", "car"], {"road": ["road", "lane marking"]}).sources
        ((0, 1), ())
    """
    theirs, ours = list(theirs), list(ours)
    if wanted == "none":
        return ClassMap([()] * len(ours))
    if wanted is None:
        if theirs == ours:
            return None
        if sorted(theirs) != sorted(ours):
            raise ArgumentError(_differ(theirs, ours, who))
        return ClassMap([[theirs.index(name)] for name in ours])
    if wanted == "auto":
        plain = [_plain(name) for name in theirs]
        sources = [[i for i, name in enumerate(plain) if name == _plain(own)] for own in ours]
    elif isinstance(wanted, Mapping):
        sources = _told(theirs, ours, wanted, who)
    else:
        raise ArgumentError(f"`classes` must be auto, none or a mapping of names; got {wanted!r}.")
    if not any(sources):
        raise ArgumentError(
            f"`classes` must leave a class that {who} knows; of {quote(theirs, 6)} none means any of {quote(ours, 6)}. "
            "classes=none teaches features only."
        )
    return None if sources == [[i] for i in range(len(theirs))] else ClassMap(sources)


def _told(theirs: Sequence[str], ours: Sequence[str], wanted: Mapping[str, Any], who: str) -> list[list[int]]:
    """Channels by train id, from names; keys are the student's classes unless the names tell otherwise."""
    pairs = [(str(key), str(name)) for key, names in wanted.items() for name in _names(names)]
    if not _fit(pairs, ours, theirs) and _fit([(b, a) for a, b in pairs], ours, theirs):
        pairs = [(b, a) for a, b in pairs]
        if repeated := sorted({a for _, a in pairs if sum(a == other for _, other in pairs) > 1}):
            raise ArgumentError(
                f"`classes` must map a class of {who} to one class; {quote(repeated, 3)} cannot tell several apart."
            )
    sources: list[list[int]] = [[] for _ in ours]
    for own, name in pairs:
        for known, given, whose in ((ours, own, "the student"), (theirs, name, who)):
            if given not in known:
                raise ArgumentError(f"`classes` must name classes of {whose}; got {given!r}. {nearest(given, known)}")
        channel = theirs.index(name)
        if channel not in sources[ours.index(own)]:
            sources[ours.index(own)].append(channel)
    return sources


def _fit(pairs: Sequence[tuple[str, str]], ours: Sequence[str], theirs: Sequence[str]) -> bool:
    return all(own in ours and name in theirs for own, name in pairs)


def _names(names: Any) -> Sequence[Any]:
    return [names] if isinstance(names, str) else list(names or ())


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _differ(theirs: Sequence[str], ours: Sequence[str], who: str) -> str:
    equal = {_plain(name) for name in theirs} & {_plain(name) for name in ours}
    same = [name for name in ours if _plain(name) in equal]
    more = [name for name in theirs if _plain(name) not in equal]
    less = [name for name in ours if _plain(name) not in equal]
    told = [
        f"{title} {quote(names, 6)}"
        for title, names in (("both know", same), ("it alone", more), ("the data alone", less))
        if names
    ]
    return (
        f"{who} must know the classes of the data; {'; '.join(told)}. Say which of its classes mean which: "
        'teacher.classes=auto for equal names, or a mapping, `{"our name": ["its name", ...]}`; '
        "teacher.classes=none teaches features only."
    )
