"""What every distillation loss states about itself: the contract that the rest of the package reads."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from segdistill.losses.common.directions import Directions
from segdistill.util import ArgumentError


class Silence(NamedTuple):
    """Why a part of a loss is 0 whatever it is given.

    Attributes:
        reason: The rest of a sentence that begins with the loss: ``its map is 2x2 and one patch needs 4x4``.
        option: What mends it, by the name of the option: ``pool_size=1``; empty if no option does.
    """

    reason: str
    option: str = ""


Maps = Tensor | Sequence[Tensor]
"""One map (B, C, h, w), or several, from the first layer to the last."""

Size = tuple[int, int]


class DistillationLoss(nn.Module, ABC):
    """A loss that compares maps of a student with maps of a teacher.

    ``forward(student, teacher)`` takes a map each, (B, C, h, w); a loss with ``several`` also takes two lists of maps,
    and one with ``uses_labels`` takes the labels (B, H, W) as third argument. One that ``weighs_pixels`` also takes
    ``weight=``, (B, H, W) in [0, 1]: how much each pixel counts, as where a teacher is unsure. It returns an unweighted
    scalar, or a named tuple of scalars, one for each of ``parts``. The teacher's maps are constants.

    A loss with parameters of its own names the widths of its maps ``student_channels`` and ``teacher_channels`` in its
    constructor (lists of widths where it reads several maps), and the number of classes ``num_classes``: the
    `Distiller` fills them in.

    Attributes:
        title: Its name in tables and reports.
        layer: What it reads unless a term says otherwise: ``"logits"``, ``"head"``, ``"layer4"`` or another feature.
        several: Whether it takes several maps too.
        same_size: Whether its maps must be of one size. The `Distiller` then resizes the student's map to the
            teacher's before the call. Losses that resize themselves need not.
        weighs_pixels: Whether ``forward`` takes ``weight=``. Losses without it let every pixel count fully.
        beside: Losses that stand beside it, with their defaults, in the published comparisons.
        variants: Further methods of a comparison: by suffix, what differs in its term.

    Example:
        >>> class Cosine(DistillationLoss):
        ...     title = "Cosine"
        ...     layer = "logits"
        ...     same_size = True
        ...
        ...     def forward(self, student, teacher):
        ...         return 1 - torch.cosine_similarity(student, teacher, dim=1).mean()
        >>> loss = Cosine()
        >>> loss.parts, loss.published, loss.uses_labels
        ((), 1.0, False)
    """

    title: str = ""
    layer: str = "logits"
    several: bool = False
    same_size: bool = False
    weighs_pixels: bool = False
    beside: tuple[str, ...] = ("kd",)
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the scalars it returns; empty for a single one."""
        return ()

    @property
    def published(self) -> float | Mapping[str, float]:
        """Its published weight, or one for each part. Default: 1."""
        return dict.fromkeys(self.parts, 1.0) if self.parts else 1.0

    @property
    def uses_labels(self) -> bool:
        """Whether ``forward`` takes the labels."""
        return False

    @property
    def equal_buffers(self) -> tuple[str, ...]:
        """Names of buffers that it keeps equal in all processes by itself, so that nobody sends them. Default: none."""
        return ()

    @property
    def projection(self) -> Directions | None:
        """What projects the teacher's map first; a loss that has it takes projected maps too. Default: None."""
        return None

    def own_optimizer(self) -> torch.optim.Optimizer | None:
        """A new optimizer for parameters that learn towards another aim than the student's. Default: None."""
        return None

    @property
    def sometimes_silent(self) -> tuple[str, ...]:
        """Names of parts that by design are 0, or teach the student nothing, for a while or for good. Default: none."""
        return ()

    def why_silent(self, part: str, size: Size) -> Silence | None:
        """Why a part is 0 on maps of the teacher of this height and width, if the loss knows. Default: None."""
        return None

    @classmethod
    def suited(cls, options: Mapping[str, Any], size: Size) -> dict[str, Any]:
        """The options that a recipe leaves to the size of the map, with their values. Default: none.

        Args:
            options: Those of the recipe's term; a missing one is open, as is ``"auto"``. Others are never changed.
            size: Height and width of the teacher's map of one crop.
        """
        return {}

    @abstractmethod
    def forward(self, *maps_and_labels: Any, **options: Any) -> Any:
        """Compare; see the class."""


class PlainLoss(DistillationLoss):
    """A module of a user's own, as it is: it reads one map, has one part and the weight 1, and sees no labels.

    The maps that it gets are of one size: the `Distiller` resizes the student's.

    Args:
        module: Called with ``(student, teacher)``; returns a scalar.

    Example:
        >>> PlainLoss(nn.MSELoss())(torch.ones(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)).item()
        1.0
    """

    title = "own loss"
    layer = "logits"
    same_size = True

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Call the module.

        Raises:
            ArgumentError: If it does not return a scalar.
        """
        value: Any = self.module(student, teacher)
        if not isinstance(value, Tensor) or value.ndim:
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ArgumentError(
                f"`{type(self.module).__name__}` must return one scalar; got {got}. A loss of several parts is a "
                "subclass of `DistillationLoss`, which says their names."
            )
        return value
