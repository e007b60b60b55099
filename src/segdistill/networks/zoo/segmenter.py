"""The one module of the zoo: backbone, head, classifier and auxiliary head."""

from torch import Tensor, nn

from segdistill.networks.zoo.backbones import STAGES, Backbone, as_maps
from segdistill.networks.zoo.blocks import Head, conv_block
from segdistill.types import SegOutput


class Segmenter(nn.Module):
    """A segmentation module that names its features.

    It takes a normalised image (B, C, H, W) and returns ``SegOutput``: logits at the stride of the head, auxiliary
    logits where there is an auxiliary head (in training and in evaluation alike), and the maps ``layer1`` to ``layer4``
    of the backbone (the last of these names where it has fewer) and ``head``, which the classifier reads.

    Args:
        backbone: What `build_backbone` built.
        decoder: Head on its maps.
        num_classes: Channels of the logits.
        aux: Whether to have an auxiliary fully convolutional head on ``layer3``, a quarter as wide.

    Attributes:
        num_classes: As given.
        feature_channels: Width of every map in ``SegOutput.features``, by name.
    """

    def __init__(
        self,
        backbone: Backbone,
        decoder: Head,
        *,
        num_classes: int,
        aux: bool,
    ) -> None:
        super().__init__()
        self.names = STAGES[-len(backbone.stages) :]
        widths = [stage.width for stage in backbone.stages]
        self.feature_channels = {**dict(zip(self.names, widths, strict=True)), "head": decoder.out_channels}
        self.num_classes = num_classes
        self.backbone = backbone.module
        self.channels_last = backbone.channels_last
        self.decoder = decoder
        self.classifier = nn.Conv2d(decoder.out_channels, num_classes, 1)
        self.aux = _aux_head(widths[-2], num_classes) if aux else None

    def forward(self, image: Tensor) -> SegOutput:
        """Segment normalised images (B, C, H, W)."""
        stages: list[Tensor] = self.backbone(image)
        if self.channels_last:
            stages = as_maps(stages)
        head = self.decoder(stages)
        return SegOutput(
            logits=self.classifier(head),
            aux_logits=self.aux(stages[-2]) if self.aux is not None else None,
            features={**dict(zip(self.names, stages, strict=True)), "head": head},
        )


def _aux_head(in_channels: int, num_classes: int) -> nn.Sequential:
    width = in_channels // 4
    return nn.Sequential(*conv_block(in_channels, width, 3), nn.Dropout(0.1), nn.Conv2d(width, num_classes, 1))
