"""The one module of the zoo: backbone, head, classifier and auxiliary head."""

from typing import Any

from torch import Tensor, nn

from segdistill.networks.zoo.blocks import Head, conv_block
from segdistill.types import SegOutput

STAGES = ("layer1", "layer2", "layer3", "layer4")
"""Names of the backbone stages; nominally at strides 4, 8, 16 and 32, dilated beyond the output stride."""


class Segmenter(nn.Module):
    """A segmentation module that names its features.

    It takes a normalised image (B, 3, H, W) of any size and returns ``SegOutput``: logits at the output stride,
    auxiliary logits where there is an auxiliary head (in training and in evaluation alike), and the maps ``layer1`` to
    ``layer4`` of the backbone and ``head``, which the classifier reads.

    Args:
        backbone: A timm network made with ``features_only=True`` that returns four maps.
        decoder: Head on the last of them.
        num_classes: Channels of the logits.
        aux: Whether to have an auxiliary fully convolutional head on ``layer3``, a quarter as wide.

    Attributes:
        num_classes: As given.
        feature_channels: Width of every map in ``SegOutput.features``, by name.
    """

    def __init__(
        self,
        backbone: nn.Module,
        decoder: Head,
        *,
        num_classes: int,
        aux: bool,
    ) -> None:
        super().__init__()
        info: Any = backbone.feature_info
        widths: list[int] = info.channels()
        self.feature_channels = {**dict(zip(STAGES, widths, strict=True)), "head": decoder.out_channels}
        self.num_classes = num_classes
        self.backbone = backbone
        self.decoder = decoder
        self.classifier = nn.Conv2d(decoder.out_channels, num_classes, 1)
        self.aux = _aux_head(self.feature_channels["layer3"], num_classes) if aux else None

    def forward(self, image: Tensor) -> SegOutput:
        """Segment normalised images (B, 3, H, W)."""
        stages: list[Tensor] = self.backbone(image)
        head = self.decoder(stages[-1])
        return SegOutput(
            logits=self.classifier(head),
            aux_logits=self.aux(stages[-2]) if self.aux is not None else None,
            features={**dict(zip(STAGES, stages, strict=True)), "head": head},
        )


def _aux_head(in_channels: int, num_classes: int) -> nn.Sequential:
    width = in_channels // 4
    return nn.Sequential(*conv_block(in_channels, width, 3), nn.Dropout(0.1), nn.Conv2d(width, num_classes, 1))
