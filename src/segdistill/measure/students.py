"""Small networks worth training as students, and what each costs on a CPU.

``students.json`` beside this file holds their costs as `python -m benchmarks.students` measured them, so that they can
be shown where the libraries of their sources are not installed.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, Final, NamedTuple

import torch

from segdistill.measure.latency import latencies
from segdistill.measure.macs import count_macs
from segdistill.networks import Network, create_network, evaluating
from segdistill.types import Batch
from segdistill.util import UnavailableError

STUDENT_SIZE: Final = (512, 512)
"""Height and width of the image that they are measured on, pixels."""

STUDENT_CLASSES: Final = 19
"""Classes that they tell apart: those of Cityscapes."""


class SmallStudent(NamedTuple):
    """One of them, in the words of a recipe's `model`.

    Attributes:
        source: Where it comes from.
        name: In its source.
        options: Of the source.
    """

    source: str
    name: str
    options: Mapping[str, Any] = {}

    @property
    def key(self) -> str:
        """All of it in one string."""
        return " ".join([f"{self.source}:{self.name}", *(f"{key}={value}" for key, value in self.options.items())])


class StudentCost(NamedTuple):
    """What it costs.

    Attributes:
        source: As `SmallStudent`.
        name: As `SmallStudent`.
        options: As `SmallStudent`.
        params: Parameters that an image passes, of ``STUDENT_CLASSES`` classes.
        macs: Multiplications of an image of ``STUDENT_SIZE``.
        ms: Milliseconds of such an image on a CPU with one thread, float32, median.
    """

    source: str
    name: str
    options: Mapping[str, Any]
    params: int
    macs: int
    ms: float


class StudentCosts(NamedTuple):
    """Costs of many, and where they were measured.

    Attributes:
        students: A row each, in the order of ``SMALL_STUDENTS``.
        environment: Processor, torch, threads, commit.
    """

    students: list[StudentCost]
    environment: Mapping[str, Any]


SMALL_STUDENTS: Final = (
    SmallStudent("zoo", "lraspp_mobilenetv3_small_050"),
    SmallStudent("zoo", "lraspp_mobilenetv3_small_100"),
    SmallStudent("zoo", "lraspp_mobilenetv3_large_100"),
    SmallStudent("zoo", "lraspp_mobilenetv4_conv_small"),
    SmallStudent("zoo", "lraspp_tf_efficientnet_lite0"),
    SmallStudent("zoo", "segformer_mobilenetv3_small_100"),
    SmallStudent("zoo", "segformer_mobilenetv4_conv_small"),
    SmallStudent("zoo", "segformer_mobilenetv4_conv_medium"),
    SmallStudent("zoo", "segformer_tf_efficientnet_lite0"),
    SmallStudent("zoo", "deeplabv3_mobilenetv2_050", {"output_stride": 16}),
    SmallStudent("zoo", "deeplabv3_tf_efficientnet_lite0", {"output_stride": 16}),
    SmallStudent("zoo", "deeplabv3_resnet18", {"output_stride": 16}),
    SmallStudent("torchvision", "lraspp_mobilenet_v3_large"),
    SmallStudent("torchvision", "deeplabv3_mobilenet_v3_large", {"aux": False}),
    SmallStudent("smp", "FPN", {"encoder_name": "tu-tf_efficientnet_lite0"}),
    SmallStudent("smp", "Unet", {"encoder_name": "tu-tf_efficientnet_lite0"}),
    SmallStudent("huggingface", "segformer"),
    SmallStudent("huggingface", "mobilevit"),
)
"""Of the sources that build untrained networks. ``segformer`` is SegFormer-B0, ``mobilevit`` MobileViT-S."""


def known_costs() -> StudentCosts:
    """As they were measured once."""
    stored = json.loads(resources.files(__package__).joinpath("students.json").read_text(encoding="utf-8"))
    return StudentCosts([StudentCost(**row) for row in stored["students"]], stored["environment"])


def measure_students(
    students: Sequence[SmallStudent] = SMALL_STUDENTS,
    *,
    size: tuple[int, int] = STUDENT_SIZE,
    repeats: int = 10,
    skip: Callable[[SmallStudent, UnavailableError], None] | None = None,
) -> Iterator[StudentCost]:
    """Measure each on this machine's CPU with one thread, untrained, which costs the same.

    Args:
        students: Which.
        size: (H, W) of the image.
        repeats: Passes that a median is over.
        skip: Called for one whose library is missing. None: raise.

    Raises:
        UnavailableError: If the library of a source is missing.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for student in students:
            try:
                network = create_network(
                    student.name, source=student.source, num_classes=STUDENT_CLASSES, options=dict(student.options)
                )
            except UnavailableError as error:
                if skip is None:
                    raise
                skip(student, error)
                continue
            yield _cost(student, network, size, repeats)
    finally:
        torch.set_num_threads(threads)


def _cost(student: SmallStudent, network: Network, size: tuple[int, int], repeats: int) -> StudentCost:
    batch = Batch(torch.zeros(1, 3, *size, dtype=torch.uint8), torch.zeros(1, *size, dtype=torch.long))
    with evaluating(network):
        macs = count_macs(network, 3, size)
        took = latencies({"it": network.segment}, [batch], torch.device("cpu"), repeats=repeats)
    params = sum(parameter.numel() for parameter in network.parameters())
    return StudentCost(student.source, student.name, student.options, params, macs, took["it"])
