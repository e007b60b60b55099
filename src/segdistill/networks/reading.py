"""Reading what a network gives, whoever wrote it: class scores, and the outputs of layers as maps."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from segdistill.types import SegOutput
from segdistill.util import NetworkError

LogitsOf = Callable[[Any], Tensor | SegOutput]
"""From what a network returns to class scores (B, K, h, w), or to a `SegOutput` that says more."""


class Recorder:
    """A forward hook that keeps a layer's last output until it is taken.

    One object for all calls: compiled code holds on to the hook that it was traced with.
    """

    def __init__(self) -> None:
        self.output: Any = None

    def __call__(self, _module: nn.Module, _args: Any, output: Any) -> None:
        """Keep it."""
        self.output = output

    def take(self) -> Any:
        """Return it once; None if the layer did not run."""
        output, self.output = self.output, None
        return output


def read_output(raw: Any, logits_of: LogitsOf | None) -> SegOutput:
    """What a network returned, as logits, auxiliary logits and features.

    Args:
        raw: A `SegOutput`, or whatever ``logits_of`` or `find_logits` understands.
        logits_of: Replaces `find_logits`.
    """
    if isinstance(raw, SegOutput) and logits_of is None:
        return raw
    aux = raw.get("aux") if isinstance(raw, Mapping) else None
    found = find_logits(raw) if logits_of is None else logits_of(raw)
    return found if isinstance(found, SegOutput) else SegOutput(found, aux, {})


def find_logits(output: Any) -> Tensor:
    """The class scores in what a network returned.

    Understands a tensor, a mapping with ``"out"`` or ``"logits"`` (torchvision, some of Hugging Face), an
    object with ``.logits`` (Hugging Face) and a sequence whose first entry is a tensor.

    Raises:
        NetworkError: For anything else; the message says to give a callable.
    """
    found = output
    if isinstance(output, Mapping):
        found = next((output[key] for key in ("out", "logits") if key in output), None)
    elif hasattr(output, "logits"):
        found = output.logits
    elif isinstance(output, (tuple, list)) and output:
        found = output[0]
    if isinstance(found, Tensor) and found.dim() == 4:
        return found
    shape = f" of shape {tuple(found.shape)}" if isinstance(found, Tensor) else ""
    raise NetworkError(
        f"a network's output must be or contain logits (B, K, h, w); got {type(output).__name__}{shape}. "
        "Give `logits=`, a function from the output to such a tensor."
    )


def as_map(feature: Any, image_size: Sequence[int], origin: str) -> Tensor:
    """Bring a layer's output to (B, C, h, w).

    The first tensor of a tuple counts. Tokens (B, N, C) are laid out on the grid that has the image's aspect
    ratio; a class token, and four registers behind it, in front are dropped.

    Raises:
        NetworkError: If the output is no map and cannot be laid out as one.
    """
    if isinstance(feature, (tuple, list)) and feature:
        feature = feature[0]
    if isinstance(feature, Tensor) and feature.dim() == 4:
        return feature
    if isinstance(feature, Tensor) and feature.dim() == 3:
        num_tokens = feature.shape[1]
        rows, columns = image_size
        exact = [e for e in (0, 1, 5) if any(h * h * columns == (num_tokens - e) * rows for h in range(1, num_tokens))]
        for extra in (*exact, 0, 1):
            height = round(math.sqrt((num_tokens - extra) * image_size[0] / image_size[1]))
            if height and (num_tokens - extra) % height == 0:
                width = (num_tokens - extra) // height
                return feature[:, extra:].transpose(1, 2).reshape(len(feature), -1, height, width)
    got = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
    raise NetworkError(f"{origin} must give a map (B, C, h, w) or tokens (B, N, C); got {got}. Tap another layer.")
