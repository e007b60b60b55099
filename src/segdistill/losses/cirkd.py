"""CIRKD: the similarities of a pixel to pixels of other images, as the teacher sees them."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from segdistill.losses.base import DistillationLoss
from segdistill.losses.common.key_memory import KeyMemory, pixel_keys, region_keys
from segdistill.losses.common.pair import matched_pair
from segdistill.losses.common.relations import relations
from segdistill.losses.common.resize import match_labels
from segdistill.ops import check_count, check_positive, unit, without_autocast
from segdistill.types import IGNORE_INDEX
from segdistill.util import ArgumentError


class CIRKDTerms(NamedTuple):
    """The three unweighted parts of CIRKD with memory; without, there is only a scalar, the first of them.

    Attributes:
        mini_batch: Scalar in nats, relations between the pixels of the batch.
        pixel: Scalar in nats, relations of the labelled pixels to remembered pixels of the teacher.
        region: Scalar in nats, likewise to remembered class means of the teacher.
    """

    mini_batch: Tensor
    pixel: Tensor
    region: Tensor


def cirkd(student: Tensor, teacher: Tensor, *, temperature: float = 0.1, pool_size: int | None = None) -> Tensor:
    """Compare the similarities between all pixels of a batch, inside images and across them.

    :func:`relations` between the pixels of every image and those of every image, itself included, averaged
    over the B^2 pairs.

    Args:
        student: Features (B, C, h, w), resized bilinearly to the teacher's size if needed.
        teacher: Features (B, C', H, W) of any width, treated as constant.
        temperature: Divides the cosines; above 0.
        pool_size: Kernel and stride of an average-pooling of both maps. None: 4 if both sides of the map have
            at least 256 cells, else 1.

    Returns:
        Scalar in nats, float32 or more.

    Raises:
        ValueError: If batches or shapes do not fit, or an option is out of range.

    Source:
        Yang et al., Cross-Image Relational Knowledge Distillation, CVPR 2022; equal to the authors' code in
        value and gradient.

    Example:
        >>> import torch
        >>> cirkd(torch.rand(2, 8, 6, 6), torch.rand(2, 32, 6, 6)).shape
        torch.Size([])
    """
    check_positive("temperature", temperature)
    check_count("pool_size", 1 if pool_size is None else pool_size)
    with without_autocast(teacher):
        student, teacher = matched_pair(student, teacher)
        return _mini_batch(student, teacher, temperature, pool_size)


class CIRKDLoss(DistillationLoss):
    r"""Cross-image relational distillation: between the pixels of a batch, and to a memory of the teacher.

    Without memory, the default, it is :func:`cirkd`: no parameters, no labels, any widths. With memory there
    are two parts more. The student's map is projected to the teacher's width; each labelled pixel of student
    and teacher is compared with the same keys of the teacher, drawn from a queue for each class, and
    :func:`relations` of the two are the loss. Keys of ``pixel`` are single pixels, those of ``region`` the
    mean features of a class in an image. After that, in training mode, the keys of this batch replace the
    oldest; with several processes, those of all of them.

    Args:
        student_channels: Width of the student's map. Filled in by the `Distiller`; only ``memory`` needs it.
        teacher_channels: Width of the teacher's map; filled in too.
        num_classes: Number of classes K; filled in too.
        temperature: Of the part ``mini_batch``; above 0.
        pool_size: As in :func:`cirkd`.
        memory: Whether there are the parts ``pixel`` and ``region``; then ``labels`` are needed.
        memory_temperature: Divides their cosines; above 0.
        pixel_memory: Pixels remembered a class.
        region_memory: Class means remembered a class.
        pixel_keys: About how many remembered pixels a step compares with (``pixel_keys // num_classes + 1`` of
            each class, from the same slots).
        region_keys: About how many remembered class means a step compares with.
        push_pixels: At most so many pixels a class and image are put into the memory.
        paper: Remember the wrong pixels, as the published code does: where it draws the n-th pixel of a class
            it stores the n-th pixel of the image.

    Raises:
        ValueError: If an option is out of range, or a size is missing that ``memory`` needs.

    Note:
        The memory holds num_classes * (pixel_memory + region_memory) * teacher_channels floats (428 MB for 19
        classes and 256 channels), in the checkpoints too. It starts with random directions, drawn from the
        global generator: processes must start alike, as `DistributedDataParallel` sees to, and have batches of one
        size. The host waits for nothing that a GPU has to tell it. Relations are
        computed in at least float32 with autocast off; the projection in the precision of its parameters.

    Source:
        Yang et al., Cross-Image Relational Knowledge Distillation, CVPR 2022, and the defaults of its code.

    Example:
        >>> import torch
        >>> loss = CIRKDLoss(8, 32, num_classes=5, memory=True, pixel_memory=100, region_memory=10)
        >>> labels = torch.randint(0, 5, (2, 48, 48))
        >>> terms = loss(torch.rand(2, 8, 6, 6), torch.rand(2, 32, 6, 6), labels)
        >>> (terms.mini_batch + 0.1 * terms.pixel + 0.1 * terms.region).backward()
    """

    title = "CIRKD"
    layer = "head"
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"memory": {"memory": True}}

    def __init__(
        self,
        student_channels: int | None = None,
        teacher_channels: int | None = None,
        *,
        num_classes: int | None = None,
        temperature: float = 0.1,
        pool_size: int | None = None,
        memory: bool = False,
        memory_temperature: float = 0.1,
        pixel_memory: int = 20_000,
        region_memory: int = 2_000,
        pixel_keys: int = 4096,
        region_keys: int = 1024,
        push_pixels: int = 16,
        paper: bool = False,
    ) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        check_positive("memory_temperature", memory_temperature)
        for option, count in {
            "pool_size": 1 if pool_size is None else pool_size,
            "pixel_memory": pixel_memory,
            "region_memory": region_memory,
            "pixel_keys": pixel_keys,
            "region_keys": region_keys,
            "push_pixels": push_pixels,
        }.items():
            check_count(option, count)
        self.temperature = temperature
        self.pool_size = pool_size
        self.memory_temperature = memory_temperature
        self.pixel_keys = pixel_keys
        self.region_keys = region_keys
        self.push_pixels = push_pixels
        self.paper = paper
        self.memory = memory
        self.student_channels = student_channels
        self.teacher_channels = teacher_channels
        if not memory:
            return
        narrow = _needed("student_channels", student_channels)
        wide = _needed("teacher_channels", teacher_channels)
        self.num_classes = _needed("num_classes", num_classes)
        self.project = nn.Sequential(
            nn.Conv2d(narrow, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 1),
        )
        self.pixels = KeyMemory(self.num_classes, pixel_memory, wide)
        self.regions = KeyMemory(self.num_classes, region_memory, wide)

    @property
    def parts(self) -> tuple[str, ...]:
        """Three with memory, a single scalar without."""
        return CIRKDTerms._fields if self.memory else ()

    @property
    def published(self) -> float | Mapping[str, float]:
        """Weights of the authors' Cityscapes runs."""
        return {"mini_batch": 1.0, "pixel": 0.1, "region": 0.1} if self.memory else 1.0

    @property
    def uses_labels(self) -> bool:
        """The memory needs them."""
        return self.memory

    @property
    def equal_buffers(self) -> tuple[str, ...]:
        """The memory: `KeyMemory.push` gives every process the keys of all."""
        names = [name for name, _ in self.named_buffers() if name.startswith(("pixels.", "regions."))]
        return tuple(names)

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor | CIRKDTerms:
        """Compare the student's features with the teacher's.

        Args:
            student: (B, C, h, w); resized bilinearly to the teacher's size if needed.
            teacher: (B, C', H, W), treated as constant.
            labels: (B, H', W') integers, resized by nearest neighbour; read only with ``memory``, whose parts
                leave out pixels of ``IGNORE_INDEX`` and are zero, with a zero gradient, where nothing is left.

        Returns:
            A scalar, or ``CIRKDTerms(mini_batch, pixel, region)`` with ``memory``; unweighted.

        Raises:
            ValueError: If shapes do not fit, or labels are needed and missing.
        """
        with without_autocast(teacher):
            student, teacher = matched_pair(student, teacher, self.student_channels, self.teacher_channels)
            mini_batch = _mini_batch(student, teacher, self.temperature, self.pool_size)
            if not self.memory:
                return mini_batch
            if labels is None:
                raise ArgumentError("`labels` must be given where `memory` is set; got None.")
            labels = match_labels(labels, teacher)
            return CIRKDTerms(mini_batch, *self._to_memory(student, teacher, labels.flatten(1)))

    def _to_memory(self, student: Tensor, teacher: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Relations to the remembered pixels and regions; then remember this batch."""
        dtype = next(self.project.parameters()).dtype
        projected = self.project(student.to(dtype)).to(teacher.dtype)
        s, t = unit(projected.flatten(2).mT), unit(teacher.flatten(2).mT)
        labelled = labels != IGNORE_INDEX
        # Zeros, not a choice of rows, whose number a GPU would have to tell the host.
        rows = [x.masked_fill(~labelled[..., None], 0.0).flatten(0, 1) for x in (s, t)]
        counted = labelled.sum()

        def compare(memory: KeyMemory, count: int) -> Tensor:
            keys = memory.sample(count).to(t.dtype)[None]
            return relations(rows[0], rows[1], keys, keys, temperature=self.memory_temperature, count=counted)

        pixel, region = compare(self.pixels, self.pixel_keys), compare(self.regions, self.region_keys)
        if self.training:
            chosen = pixel_keys(t, labels, labelled, self.num_classes, most=self.push_pixels, paper=self.paper)
            self.pixels.push(*chosen)
            self.regions.push(*region_keys(t, labels, self.num_classes))
        return pixel, region


def _needed(name: str, size: int | None) -> int:
    if size is None:
        raise ArgumentError(f"`{name}` must be given where `memory` is set; got None.")
    check_count(name, size)
    return size


def _mini_batch(student: Tensor, teacher: Tensor, temperature: float, pool_size: int | None) -> Tensor:
    if pool_size is None:
        pool_size = 4 if min(teacher.shape[-2:]) >= 256 else 1
    # What is left over at the edges makes smaller cells, so that a small map keeps one.
    s, t = (unit(F.avg_pool2d(x, pool_size, ceil_mode=True).flatten(2).mT) for x in (student, teacher))
    return relations(s.flatten(0, 1), t.flatten(0, 1), s, t, temperature=temperature)
