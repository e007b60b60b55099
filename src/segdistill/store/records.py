"""What the JSON files of a run hold: one schema for whoever writes and whoever reads."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Kind: TypeAlias = Literal["teacher", "student", "distilled"]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Byte = Annotated[int, Field(ge=0, le=255)]


class Record(BaseModel):
    """A part of a file: unknown keys are ignored, numbers are finite."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


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


class TeacherScore(Record):
    """The teacher of a distillation, scored like its student."""

    name: str
    miou: Share


class Labels(Record):
    """Class names and colours, in the order of train ids."""

    names: list[str]
    colors: list[tuple[Byte, Byte, Byte]]


class Result(Record):
    """What a report needs of ``result.json``."""

    name: str
    kind: Kind
    seed: int = 0
    model: str = ""
    terms: dict[str, Any] = {}
    protocol: str | None = None
    score: Score | None = None
    teacher: TeacherScore | None = None
    params: Positive | None = None
    ms_per_image: Positive | None = None
    iterations: int | None = None
    seconds: Positive | None = None
    images_per_s: Positive | None = None
    peak_memory_mb: Positive | None = None
    labels: Labels | None = None


class GallerySample(Record):
    """An image with its mIoU, in the gallery or among all that were evaluated."""

    name: str
    miou: Share | None = None


class Images(Record):
    images: list[GallerySample]


class Gallery(Record):
    samples: list[GallerySample]


class Confusion(Record):
    matrix: list[list[Count]]
