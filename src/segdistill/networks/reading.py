"""Reading what a network gives, whoever wrote it: class scores, and the outputs of layers."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from segdistill.types import SegOutput
from segdistill.util import NetworkError

LogitsOf = Callable[[Any], Tensor | SegOutput]
"""From what a network returns to class scores (B, K, h, w), or to all that it says, as a `SegOutput`."""


class Recorder:
    """A forward hook that keeps a layer's last output until it is taken; as a pre-hook, what the layer is given.

    One object for all calls: compiled code holds on to the hook that it was traced with.
    """

    def __init__(self) -> None:
        self.output: Any = None

    def __call__(self, _module: nn.Module, args: Any, *output: Any) -> None:
        """Keep it."""
        self.output = output[0] if output else next(iter(args), None)

    def take(self) -> Any:
        """Return it once; None if the layer did not run."""
        output, self.output = self.output, None
        return output


def read_output(raw: Any, logits_of: LogitsOf | None) -> SegOutput:
    """What a network returned, as logits, auxiliary logits and features.

    Logits of one channel, which a sigmoid reads, become those of two classes: background and foreground.

    Args:
        raw: A `SegOutput`, or whatever ``logits_of`` or `find_logits` understands.
        logits_of: Replaces `find_logits`.
    """
    read = raw if logits_of is None else logits_of(raw)
    if not isinstance(read, SegOutput):
        aux = raw.get("aux") if isinstance(raw, Mapping) else None
        read = SegOutput(read if logits_of is not None else find_logits(read), aux)
    aux = read.aux_logits
    return read._replace(logits=_as_classes(read.logits), aux_logits=None if aux is None else _as_classes(aux))


def has_logits(output: Any) -> bool:
    """Whether `find_logits` finds class scores."""
    found = _candidate(output)
    return isinstance(output, SegOutput) or (isinstance(found, Tensor) and found.dim() == 4)


def find_logits(output: Any) -> Tensor:
    """The class scores in what a network returned.

    Understands a tensor, a mapping with ``"out"`` or ``"logits"`` (torchvision, some of Hugging Face), an
    object with ``.logits`` (Hugging Face) and a sequence whose first entry is a tensor.

    Raises:
        NetworkError: For anything else; the message says to give a callable.
    """
    found = _candidate(output)
    if isinstance(found, Tensor) and found.dim() == 4:
        return found
    shape = f" of shape {tuple(found.shape)}" if isinstance(found, Tensor) else ""
    raise NetworkError(
        f"a network's output must be or contain logits (B, K, h, w); got {type(output).__name__}{shape}. "
        "Give `logits=`, a function from the output to such a tensor."
    )


def _candidate(output: Any) -> Any:
    if isinstance(output, Mapping):
        return next((output[key] for key in ("out", "logits") if key in output), None)
    if hasattr(output, "logits"):
        return output.logits
    return output[0] if isinstance(output, (tuple, list)) and output else output


def _as_classes(logits: Tensor) -> Tensor:
    """Scores of classes; those of one channel, which a sigmoid reads, as the scores of two.

    A softmax of (0, z) is (1 - sigmoid(z), sigmoid(z)): all that reads scores of classes reads them right.
    """
    return logits if logits.shape[1] != 1 else torch.cat([torch.zeros_like(logits), logits], dim=1)
