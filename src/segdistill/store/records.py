"""What the JSON files of a run hold: one schema for whoever writes and whoever reads.

A writer builds the record and `write_record` writes it, so a file holds what stands here and nothing else. A reader
is tolerant: it ignores keys that it does not know, and what older versions did not write has a default.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

Kind: TypeAlias = Literal["teacher", "student", "distilled"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Byte = Annotated[int, Field(ge=0, le=255)]


class Record(BaseModel):
    """A file, or a part of one. Numbers are finite; unknown keys are ignored when it is read.

    Attributes:
        what: What a file of this record should be, for errors.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)
    what: ClassVar[str] = "a record of this package"

    def as_json(self) -> dict[str, Any]:
        """The record as values that JSON knows, keys in the order of the schema."""
        return self.model_dump(mode="json")


class Boundary(Record):
    """Boundary IoU and boundary F-score in [0, 1], None where nothing has a contour; `rule` tells the distances."""

    iou: Share | None = None
    f: Share | None = None
    per_class_iou: dict[str, Share | None] = {}
    per_class_f: dict[str, Share | None] = {}
    rule: str = ""


class Score(Record):
    """Scores in [0, 1]; the IoU of a class that did not occur is None."""

    miou: Share
    pixel_accuracy: Share
    per_class_iou: dict[str, Share | None]
    boundary: Boundary | None = None


class TermRecord(Record):
    """A term of a distillation.

    Attributes:
        title: Of its loss, as tables show it: ``Af-DCD``; empty in files of older versions.
        loss: Name of its loss; None: that of the term.
        settings: What the recipe says of it.
    """

    title: str = ""
    loss: str | None = None
    settings: dict[str, Any] = {}


class BestStep(Record):
    """The validation whose weights were kept; step 0 without one."""

    step: Count = 0
    val_miou: Share | None = None


class Asked(Record):
    """What a teacher knew of a few validation images before the training.

    Attributes:
        miou: Over the classes that it knows.
        pixel_accuracy: The same.
        chance: The mIoU that needs no look at an image.
        images: How many.
        recorded: Score of the teacher's own run on the same data; None where it is not known.
    """

    miou: Share
    pixel_accuracy: Share
    chance: Share
    images: Count
    recorded: Share | None = None


class AskedTeachers(Record):
    """``teachers.json``: what the teachers knew before the training, by name."""

    what: ClassVar[str] = "the answers of teachers"
    teachers: dict[str, Asked]


class TeacherScore(Record):
    """A teacher of a distillation, scored like its student.

    Attributes:
        name: Of its network, or its weights.
        miou: None for one that teaches features only.
        classes: That it knows, and that its score is over; empty: all of the data.
        params: Number of parameters; of the mean, of all teachers together.
        macs: Multiplications of one crop.
        ms_per_image: Median latency of one image, milliseconds.
        asked: What it knew before the training; None if it was not asked.
    """

    name: str
    miou: Share | None = None
    classes: list[str] = []
    params: Count | None = None
    macs: Count | None = None
    ms_per_image: Positive | None = None
    asked: Asked | None = None


class Labels(Record):
    """Class names and colours, in the order of train ids."""

    names: list[str]
    colors: list[tuple[Byte, Byte, Byte]]


class Result(Record):
    """``result.json``: what a run ended with.

    Attributes:
        name: Of the recipe.
        kind: What was trained.
        seed: Of weights, data order and masks.
        model: Name of the trained network.
        terms: Of the distillation, by name.
        protocol: How the score was measured; None without a score.
        score: None if the recipe names no split to score on.
        best: The validation whose weights were kept.
        teacher: None without one; of several, their mean where terms could read it, else the first.
        teachers: Of several, each by name, and ``mean``.
        params: Number of parameters of the trained network.
        ms_per_image: Median latency of one image, milliseconds.
        iterations: Steps of training.
        seconds: Wall-clock of training, validation left out.
        images_per_s: Mean speed of training.
        peak_memory_mb: Largest memory of training, MiB; None where it cannot be known.
        labels: Class table.
        notes: What a reader must know of this run, a sentence each.
    """

    what: ClassVar[str] = "the result of a run"
    name: str
    kind: Kind
    seed: int = 0
    model: str = ""
    terms: dict[str, TermRecord] = {}
    protocol: str | None = None
    score: Score | None = None
    best: BestStep = BestStep()
    teacher: TeacherScore | None = None
    teachers: dict[str, TeacherScore] = {}
    params: Count | None = None
    ms_per_image: Positive | None = None
    iterations: Count | None = None
    seconds: Positive | None = None
    images_per_s: Positive | None = None
    peak_memory_mb: Positive | None = None
    labels: Labels | None = None
    notes: list[str] = []

    @field_validator("terms", mode="before")
    @classmethod
    def _read_older(cls, terms: Any) -> Any:
        """Older versions wrote the settings of a term beside its loss."""
        return {name: _term(term) for name, term in terms.items()} if isinstance(terms, Mapping) else terms


def _term(term: Any) -> Any:
    if not isinstance(term, Mapping):
        return term if isinstance(term, TermRecord) else {}
    loss = term.get("loss")
    return {**term, "loss": loss if isinstance(loss, str) else None}


class Environment(Record):
    """``environment.json``: what a number depends on beside the recipe.

    Attributes:
        started: Local time with its zone.
        command: The command line.
        commit: Of the source tree, marked if it was changed; None for an installed package.
        python: Its version.
        system: Operating system and processor.
        device: Name of the GPU, or ``cpu``.
        threads: Of torch.
        processes: That trained together.
        precision: ``fp32`` or ``bf16``, where the recipe left it to the device too.
        channels_last: The memory layout, likewise.
        packages: Versions by name, of those that are installed.
    """

    what: ClassVar[str] = "the environment of a run"
    started: str | None = None
    command: str | None = None
    commit: str | None = None
    python: str | None = None
    system: str | None = None
    device: str | None = None
    threads: Count | None = None
    processes: Count | None = None
    precision: Literal["fp32", "bf16"] | None = None
    channels_last: bool | None = None
    packages: dict[str, str] = {}


class ImageScore(Record):
    """An image with its mIoU, in the gallery or among all that were evaluated; None where it has no label."""

    name: str
    miou: Share | None = None


class Images(Record):
    """``images.json``: every evaluated image, in the order of the set."""

    what: ClassVar[str] = "a list of images"
    images: list[ImageScore]


class Gallery(Record):
    """``gallery/gallery.json``: the images of the gallery, in the order of its pictures' numbers."""

    what: ClassVar[str] = "the index of a gallery"
    samples: list[ImageScore]


class Confusion(Record):
    """``confusion.json``: pixels by true class (row) and predicted class (column)."""

    what: ClassVar[str] = "a confusion matrix"
    matrix: list[list[Count]]

    @field_validator("matrix")
    @classmethod
    def _check_square(cls, matrix: list[list[int]]) -> list[list[int]]:
        if {len(row) for row in matrix} - {len(matrix)}:
            raise ValueError(f"must hold a square matrix; got rows of other lengths than {len(matrix)}")
        return matrix


class Failed(Record):
    """``failed.json``: why a run of a comparison could not be finished."""

    what: ClassVar[str] = "the reason of a failure"
    error: Annotated[str, Field(pattern=r"\S")]


class Line(Record):
    """A line of a ``.jsonl`` file: only what it was given is written."""

    step: Count

    def as_json(self) -> dict[str, Any]:
        """The keys that were given, in the order of the schema."""
        return self.model_dump(mode="json", exclude_unset=True)


class Validation(Record):
    """Scores on the validation set; `per_class_iou` by train id."""

    miou: Share
    pixel_accuracy: Share | None = None
    per_class_iou: list[Share | None] = []


class LogLine(Line):
    """A line of ``metrics.jsonl``: a step of training, the norms of its gradients, or a validation.

    Attributes:
        step: Steps done.
        lr: Learning rate.
        loss: Mean since the last line of training.
        parts: The same of every part, before its weight.
        grad_norms: Norm of the gradient that each weighted part sends to the student.
        val: Scores.
    """

    lr: float | None = None
    loss: float | None = None
    parts: dict[str, float] = {}
    grad_norms: dict[str, float] = {}
    val: Validation | None = None


class TimingLine(Line):
    """A line of ``timing.jsonl``: seconds of training since the start, and images a second since the last line."""

    seconds: Positive
    images_per_s: Positive | None = None
