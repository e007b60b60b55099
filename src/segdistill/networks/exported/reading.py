"""An exported file as a `Network`: predicted with, scored and timed as any other."""

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segdistill.networks.exported.facts import ExportFacts
from segdistill.networks.exported.runtimes import RUNTIMES, Run, open_exported
from segdistill.networks.network import Network
from segdistill.types import Preprocessing
from segdistill.util import ArgumentError, MissingFileError

EXPORTED: Final = tuple(RUNTIMES)


class Exported(nn.Module):
    """A file that another program runs, as a module: images in [0, 1] to logits at their size.

    Of a file that gives class ids, the logits are 1 for the class and 0 for the others.

    Args:
        run: Runs the file.
        facts: What the file says of itself.
    """

    def __init__(self, run: Run, facts: ExportFacts) -> None:
        super().__init__()
        self.run, self.facts = run, facts

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] to (B, K, H, W), float32, on the device of the image."""
        size = self.facts.size
        if size is not None and tuple(image.shape[-2:]) != size:
            raise ArgumentError(
                f"`image` must have {size[0]}x{size[1]} pixels for this file; got {image.shape[-2]}x{image.shape[-1]}. "
                "Export it without --size, or resize the image."
            )
        fed = image.detach().cpu().float()
        if self.facts.layout == "uint8":
            fed = (fed * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        found = torch.from_numpy(self.run(fed.contiguous().numpy()).copy()).to(image.device)
        if self.facts.output == "logits":
            return found.float()
        return F.one_hot(found.long(), self.facts.labels.num_classes).movedim(-1, 1).float()


def read_exported(path: str | Path) -> tuple[Network, ExportFacts]:
    """Read what `segdistill export` wrote; the file may come from anywhere.

    Args:
        path: ``.onnx``, ``.xml`` (its ``.bin`` lies beside it) or ``.pt2``.

    Raises:
        MissingFileError: If there is no such file.
        WeightsError: If it is damaged or of something else.
        UnavailableError: If the library that runs it is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist.")
    opened = open_exported(path)
    facts = ExportFacts.parse(opened.text, path)
    as_it_is = Preprocessing(mean=(0.0,) * facts.channels, std=(1.0,) * facts.channels)
    network = Network(
        Exported(opened.run, facts),
        preprocessing=as_it_is,
        labels=facts.labels,
        channels={},
        num_classes=facts.labels.num_classes,
    )
    return network.eval(), facts
