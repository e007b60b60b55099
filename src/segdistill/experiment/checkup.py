"""What a check leaves: findings, numbers and a verdict."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from segdistill.data import ChannelStatistics, ScanReport
from segdistill.experiment.verdicts import Finding


class Shapes(NamedTuple):
    """One thing that the student gives, and the teacher's of the same name.

    Attributes:
        name: ``logits`` or a feature.
        student: (B, C, h, w).
        teacher: (B, C, h, w) of the teacher; None if it gives no such thing.
    """

    name: str
    student: tuple[int, ...]
    teacher: tuple[int, ...] | None


class Checkup(NamedTuple):
    """What the doctor found.

    Attributes:
        class_names: By train id.
        splits: Scan of every split that the recipe uses, by name.
        findings: Everything that is refused, then what is warned of.
        shapes: Of everything that is compared, for one crop.
        weight_bytes: Trained weights, their gradients and optimizer state.
        activation_bytes: What one micro-batch keeps for the backward pass, in float32.
        statistics: Of the channels of the training images, if they were asked for.
    """

    class_names: Sequence[str]
    splits: dict[str, ScanReport]
    findings: list[Finding]
    shapes: list[Shapes]
    weight_bytes: int
    activation_bytes: int
    statistics: ChannelStatistics | None = None

    @property
    def problems(self) -> list[str]:
        """What must be mended, a sentence or two each; empty if the recipe can run."""
        return [str(finding) for finding in self.findings if finding.fatal]

    @property
    def warnings(self) -> list[str]:
        """What can be meant."""
        return [str(finding) for finding in self.findings if not finding.fatal]

    @property
    def verdict(self) -> str:
        """In a line: ``ready``, or what to mend."""
        fatal, warned = len(self.problems), len(self.warnings)
        if fatal:
            first = next(finding.text for finding in self.findings if finding.fatal)
            return f"not ready: {fatal} {'thing' if fatal == 1 else 'things'} to mend first: {first}"
        return "ready" + (f", with {warned} {'warning' if warned == 1 else 'warnings'} to read" if warned else "")

    def frame(self) -> list[dict[str, Any]]:
        """A row a split and class: ``split``, ``class``, ``pixels``, ``share`` of the pixels that count."""
        rows = []
        for split, report in self.splits.items():
            total = max(1, int(report.histogram.sum()))
            for name, pixels in zip(self.class_names, report.histogram.tolist(), strict=True):
                rows.append({"split": split, "class": name, "pixels": pixels, "share": pixels / total})
        return rows

    def as_json(self) -> dict[str, Any]:
        """Everything as values that JSON knows, for machines."""
        return {
            "ready": not self.problems,
            "verdict": self.verdict,
            "findings": [finding.as_json() for finding in self.findings],
            "splits": {
                name: {
                    "images": report.num_samples,
                    "masks": report.masks,
                    "unlabelled": report.unlabelled,
                    "ignored_pixels": report.ignored_pixels,
                    "sizes": [[*size, count] for size, count in report.image_sizes.items()],
                    "missing_classes": report.missing_classes,
                }
                for name, report in self.splits.items()
            },
            "classes": self.frame(),
            "shapes": [row._asdict() for row in self.shapes],
            "weight_bytes": self.weight_bytes,
            "activation_bytes": self.activation_bytes,
            "statistics": None if self.statistics is None else self.statistics._asdict(),
        }
