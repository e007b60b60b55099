"""What scans say about labels and images: refused, or warned of where it can be meant. Pure functions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from segdistill.data import MAX_BITS, ScanReport, Sighting, same_pictures
from segdistill.labels import LabelTable
from segdistill.types import IGNORE_INDEX
from segdistill.util import quote, ranges, shorten

Splits = Mapping[str, ScanReport]

MAX_UNLABELLED: Final = 0.1
"""Share of a split's masks that may be without a pixel that counts before `check` speaks of it."""
MAX_PAIRED: Final = 0.1
"""Share of masks that may hold 0 and 255 alone before `check` speaks of it."""

MAX_VALUES: Final = 6
"""Unknown values that are told one by one."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: Of what sort: ``file``, ``unknown-id``, ``absent-class``, ...
        text: What was found: a sentence.
        remedy: What settles it: a sentence.
        fatal: Whether it is refused; else it is a warning.
    """

    kind: str
    text: str
    remedy: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.text} {self.remedy}".strip()

    def as_json(self) -> dict[str, Any]:
        """As values that JSON knows."""
        return asdict(self)


def judge_labels(splits: Splits, labels: LabelTable, *, own: bool, sampled: bool = False) -> list[Finding]:
    """Everything that scans say about labels.

    Args:
        splits: Their reports by name; splits without masks are left out of all rules.
        labels: The class table.
        own: Whether the class table is the user's: a class without a pixel is then refused, else warned of.
        sampled: Whether a split was read in part: what such a look cannot know is left out.
    """
    masked = {name: report for name, report in splits.items() if report.masks}
    paired = list(_paired(masked, labels))
    whole = any(finding.fatal for finding in paired)  # which explains unknown values and absent classes too
    unread = any(report.faults for report in splits.values())  # nobody knows which classes faulty files have
    found = [*_single(labels), *paired]
    found += [] if whole else _unknown(masked, labels, own=own)
    found += _files(splits)
    if any(report.histogram.any() for report in masked.values()):
        found += [] if whole or unread or (sampled and not own) else _absent(masked, labels, own=own)
        found += [] if whole or unread or sampled else _absent_in_one(masked)
    return found + list(_unlabelled(masked))


def judge_sizes(
    train: ScanReport, crop_size: tuple[int, int], image_scale: float, scale_range: tuple[float, float]
) -> list[Finding]:
    """Crops that no training image fills, even at the largest random scale."""
    sizes = train.image_sizes
    if not sizes:
        return []
    height, width = max(h for h, _ in sizes), max(w for _, w in sizes)
    factor = image_scale * scale_range[1]
    if crop_size[0] <= height * factor and crop_size[1] <= width * factor:
        return []
    filled = min(1, height * factor / crop_size[0]) * min(1, width * factor / crop_size[1])
    fits = f"[{max(1, int(height * image_scale))}, {max(1, int(width * image_scale))}]"
    return [
        Finding(
            "crop-size",
            f"Crops of {_by(crop_size)} are larger than every training image: the largest sides are "
            f"{_by((height, width))}, read at `data.image_scale` {image_scale:g} and enlarged up to {scale_range[1]:g} "
            f"times. At least {100 * (1 - filled):.0f} % of every crop is padding.",
            f"Set `data.crop_size` to {fits} or less.",
            fatal=False,
        )
    ]


def judge_twins(splits: Splits, learned: Sequence[str]) -> list[Finding]:
    """The same picture in two splits, unless both are only ``learned`` from: what is scored was seen before."""
    found = []
    names = list(splits)
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            if first in learned and second in learned:
                continue
            twins = list(same_pictures(splits[first].fingerprints, splits[second].fingerprints))
            if not twins:
                continue
            pairs = [f"{a} and {b}" + ("" if equal else " (saved anew)") for a, b, equal in twins]
            found.append(
                Finding(
                    "same-picture",
                    f"{_count(len(twins), 'picture')} of {second} {'is' if len(twins) == 1 else 'are'} in {first} too: "
                    f"{shorten(pairs, 3)}. A score on pictures that were seen before is too good.",
                    f"Remove them from one of the splits. (Equal pixels, or fingerprints with at most {MAX_BITS} of "
                    "256 bits different.)",
                    fatal=False,
                )
            )
    return found


def _single(labels: LabelTable) -> Iterator[Finding]:
    if labels.num_classes < 2:
        yield Finding(
            "single-class",
            f"The class list has one class, {quote(labels.names)}: with nothing to tell it from, every score is 100 %.",
            "The background is a class too: name it (`data.options.classes`, or a line of classes.txt).",
        )


def _paired(splits: Splits, labels: LabelTable) -> Iterator[Finding]:
    """Masks of two values far apart, of which one is no class that is trained."""
    total = sum(report.masks for report in splits.values())
    pairs = dict.fromkeys(pair for report in splits.values() for pair in report.pairs)
    for low, high in pairs:
        if all(labels.id_to_train_id.get(value, IGNORE_INDEX) != IGNORE_INDEX for value in (low, high)):
            continue
        sightings = [report.pairs[low, high] for report in splits.values() if (low, high) in report.pairs]
        masks = [mask for sighting in sightings for mask in sighting.masks]
        whole = len(masks) == total
        if not whole and ((low, high) != (0, IGNORE_INDEX) or len(masks) < MAX_PAIRED * total):
            continue
        fate = "ignored" if high in labels.id_to_train_id else "no class"
        names = labels.names if labels.num_classes == 2 else ("background", "object")
        yield Finding(
            "two-values",
            f"{len(masks)} of {total} masks hold nothing but {low} and {high} (for example {masks[0]}), and {high} is "
            f"{fate}: what they mark is never learned nor scored.",
            f"If {high} marks a class, save it as {low + 1}, or name it: "
            f"`data.options.labels: {{{names[0]}: {low}, {names[1]}: {high}}}`.",
            fatal=whole,
        )


def _unknown(splits: Splits, labels: LabelTable, *, own: bool) -> Iterator[Finding]:
    """Values outside the class list, one finding a value."""
    total = sum(report.masks for report in splits.values())
    values = sorted({value for report in splits.values() for value in report.unknown_ids})
    listed = sorted(label.id for label in labels.labels if not label.name.startswith("ignored "))
    if len(values) > MAX_VALUES:
        sightings = [sighting for report in splits.values() for sighting in report.unknown_ids.values()]
        masks = list(dict.fromkeys(mask for sighting in sightings for mask in sighting.masks))
        yield Finding(
            "unknown-id",
            f"{len(masks)} of {total} masks contain {len(values)} values that the class list does not have: "
            f"{shorten(values)} (for example {masks[0]}); it names {ranges(listed)}.",
            "Many values come from masks that were scaled smoothly, saved as photographs, or hold colours in grey: "
            "save class numbers, resized without interpolation; values that mean void go in `data.options.ignore`.",
        )
        return
    for value in values:
        sightings = [report.unknown_ids[value] for report in splits.values() if value in report.unknown_ids]
        masks = [mask for sighting in sightings for mask in sighting.masks]
        yield Finding(
            "unknown-id",
            f"{len(masks)} of {total} masks contain the value {value} (for example {masks[0]}, "
            f"{_pixels(sightings)} in all); the class list names {ranges(listed)}.",
            _for_unknown(value, own),
        )


def _for_unknown(value: int, own: bool) -> str:
    if not own:
        return "Correct the masks, or check that the class list is that of these masks."
    if not 0 <= value <= 255:
        return "Save void as 255; a class has a value from 0 to 255, or is named by its value in `data.options.labels`."
    return f"If {value} means void, set `data.options.ignore: [{value}]`; otherwise add a name."


def _files(splits: Splits) -> Iterator[Finding]:
    """Faulty files, one finding for all that have the same fault; not the masks whose values are told together."""
    alike: dict[tuple[str, str], list[Path]] = {}
    for report in splits.values():
        told = {mask for sighting in report.unknown_ids.values() for mask in sighting.masks}
        for fault in report.faults:
            if fault.path not in told:
                alike.setdefault((fault.problem, fault.remedy), []).append(fault.path)
    for (problem, remedy), (first, *others) in alike.items():
        more = f"; so it is with {_count(len(others), 'other file')}: {shorten(others, 3)}" if others else ""
        yield Finding("file", f"{first} {problem}{more}.", remedy)


def _absent(splits: Splits, labels: LabelTable, *, own: bool) -> Iterator[Finding]:
    """Classes that no split has."""
    sums = sum(report.histogram for report in splits.values())
    ids = {label.train_id: label.id for label in labels.labels if not label.ignored}
    absent = [train_id for train_id in range(labels.num_classes) if not int(sums[train_id])]  # type: ignore[index]
    if absent:
        numbers = ", ".join(str(ids[train_id]) for train_id in absent)
        yield Finding(
            "absent-class",
            f"No pixel of any split is {quote(labels.names[train_id] for train_id in absent)} "
            f"({_count(len(absent), 'class')} of {labels.num_classes}, value {numbers}): "
            "a network cannot learn what it never sees.",
            f"Correct the masks, or leave the name out; `data.options.ignore: [{numbers}]` removes it from the list."
            if own
            else "The score leaves it out, or counts it as 0 under the protocol `paper`. Nothing needs to be "
            "done if this is meant.",
            fatal=own,
        )


def _absent_in_one(splits: Splits) -> Iterator[Finding]:
    """Classes that one split has and another has not."""
    seen = {name for report in splits.values() for name in report.missing_classes}
    everywhere = [set(report.missing_classes) for report in splits.values() if report.histogram.any()]
    nowhere = set.intersection(*everywhere) if everywhere else set()
    for split, report in splits.items():
        missing = [name for name in report.missing_classes if name in seen - nowhere]
        if missing:
            learned = split == "train"
            yield Finding(
                "absent-in-split",
                f"{split} has no pixel of {quote(missing)}, which another split has"
                + (": it cannot be learned." if learned else ": its score there says nothing of them."),
                "Divide the images anew, so that every split has every class, if this is not meant.",
                fatal=False,
            )


def _unlabelled(splits: Splits) -> Iterator[Finding]:
    """Splits, or many images of a split, without a pixel that counts."""
    for split, report in splits.items():
        good = sum(report.image_sizes.values())
        count = report.unlabelled
        if good and count == good and report.masks == report.num_samples:
            yield Finding(
                "unlabelled-split",
                f"{split} has no labelled pixel: all {report.ignored_pixels:,} pixels of its {good} masks are ignored.",
                "Correct the masks or `data.options.ignore`, or take another split.",
            )
        elif count > MAX_UNLABELLED * report.masks:
            yield Finding(
                "unlabelled-images",
                f"{count} of {report.masks} masks of {split} have no labelled pixel.",
                "If they are images without labels, move them to a folder of their own and name it by "
                "`data.unlabelled`; if they show the background alone, save that as a class.",
                fatal=False,
            )


def _pixels(sightings: list[Sighting]) -> str:
    return _count(sum(sighting.pixels for sighting in sightings), "pixel")


def _count(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
