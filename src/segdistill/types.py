"""The few records that travel between the parts: a batch, a network's output, a step's output."""

from typing import Final, NamedTuple

from torch import Tensor

IGNORE_INDEX: Final = 255
"""Label of pixels that never count: void, unlabelled, padding."""


class Preprocessing(NamedTuple):
    """How a network is fed: ``(x - mean) / std`` of an RGB image in [0, 1], at a size that it takes.

    Attributes:
        mean: Per channel, in the order the network takes the channels.
        std: Per channel, same order.
        bgr: The network takes blue first; the channels are flipped before ``mean`` and ``std``.
        size: (H, W) in pixels that the network insists on; images are resized to it. None: any size.
        multiple: Sides must be multiples of this; images are padded at the right and bottom, and what the network
            gives is cut back.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    bgr: bool = False
    size: tuple[int, int] | None = None
    multiple: int = 1


AS_IT_IS: Final = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""For networks whose images are ready: nothing is done to them."""


class Batch(NamedTuple):
    """Images and labels of one step.

    Attributes:
        image: (B, C, H, W), RGB or the channels that ``data.channels`` says. From the loader ``uint8``, or float in
            [0, 1] where files are deeper; float in [0, 1] once on the device.
        target: (B, H, W), train ids; ``IGNORE_INDEX`` where a pixel does not count. uint8 from the training loader,
            int64 once on the device.
    """

    image: Tensor
    target: Tensor


class SegOutput(NamedTuple):
    """What a segmentation network returns.

    Attributes:
        logits: (B, K, h, w) class scores at the network's own stride.
        aux_logits: (B, K, h', w') of the auxiliary head, or None.
        features: Named maps (B, C, h, w), for example ``features["layer4"]``.
        certainty: (B, h, w), 0 to 1, at the size of the logits: how much the answer for each pixel may count where
            others learn from it. None: all of it.
    """

    logits: Tensor
    aux_logits: Tensor | None = None
    features: dict[str, Tensor] = {}  # noqa: RUF012  (nobody writes to it)
    certainty: Tensor | None = None


class StepOutput(NamedTuple):
    """What the distiller returns for one batch.

    Attributes:
        loss: Scalar to call ``backward`` on: the weighted sum of ``parts``.
        parts: Unweighted scalars by name: ``task``, ``aux``, ``kd``, ``af_dcd.mimic``, ...
        student: The student's output for the batch.
    """

    loss: Tensor
    parts: dict[str, Tensor]
    student: SegOutput
