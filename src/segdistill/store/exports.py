"""What ``export.json`` holds: every exported file of a folder, and how far it is proved."""

from typing import ClassVar, Final

from segdistill.store.records import Count, Positive, Record, Score, Share

EXPORT: Final = "export.json"


class Difference(Record):
    """How far an exported file answers otherwise, on images of one size.

    Attributes:
        size: Height and width.
        images: How many.
        largest: Of the differences of logits; None where the file gives class ids.
        mean: The same.
        largest_logit: Of the trained network, by its absolute value, to compare with.
        equal: Share of pixels of the same class.
    """

    size: tuple[int, int]
    images: Count
    largest: Positive | None = None
    mean: Positive | None = None
    largest_logit: Positive | None = None
    equal: Share


class Speed(Record):
    """Milliseconds of one image: median and 95th percentile."""

    median: Positive
    p95: Positive


class ExportedFile(Record):
    """One exported file.

    Attributes:
        format: ``onnx``, ``openvino`` or ``torch``.
        verified: Every difference is below the limit.
        problem: Where not, what was found.
        differences: On images of several sizes.
        limit: Of the largest difference, as a share of the largest logit.
        images: What the differences were measured on: a split of the data, or noise.
        score: Of the file on the whole split, under the protocol; None without data.
        trained: Of the trained network, the same way.
        speed: Of the file, batch 1.
        trained_speed: Of the trained network, the same image, in turn.
        threads: Of both.
        bytes: Size of the file, with what lies beside it.
        sha256: Of the file.
        image: What it takes.
        output: What it gives.
        opset: Of ONNX.
        protocol: How scores were taken.
        network: What was exported.
        versions: Of the libraries.
    """

    format: str
    verified: bool
    problem: str | None = None
    differences: list[Difference]
    limit: Positive
    images: str
    score: Score | None = None
    trained: Score | None = None
    speed: Speed | None = None
    trained_speed: Speed | None = None
    threads: Count = 1
    bytes: Count
    sha256: str
    image: str
    output: str
    opset: Count | None = None
    protocol: str | None = None
    network: str
    versions: dict[str, str]


class ExportManifest(Record):
    """``export.json``: the exported files of a folder by name."""

    what: ClassVar[str] = "a record of exported files"
    files: dict[str, ExportedFile]
