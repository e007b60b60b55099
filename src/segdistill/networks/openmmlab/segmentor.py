"""The one module: backbone, head and auxiliary head."""

from torch import Tensor, nn

from segdistill.networks.openmmlab.backbones import BACKBONES
from segdistill.networks.openmmlab.heads import HEADS, DecodeHead, FCNHead
from segdistill.types import SegOutput

STAGES = ("layer1", "layer2", "layer3", "layer4")


class EncoderDecoder(nn.Module):
    """A segmentation module that names its features.

    It takes a normalised image (B, 3, H, W) and returns logits at the output stride, auxiliary logits where there is an
    auxiliary head, and the maps ``layer1`` to ``layer4`` of the backbone and ``head``, which the classifier reads
    (before its dropout).

    Args:
        head: One of ``HEADS``.
        backbone: One of ``BACKBONES``.
        num_classes: Channels of the logits.
        channels: Width of ``head``.
        aux: Whether to have an auxiliary head on ``layer3``, half as wide.
        output_stride: Image pixels per cell of the deepest map: 8, 16 or 32.

    Attributes:
        feature_channels: Width of every map in ``SegOutput.features``, by name.

    Source:
        Layouts and parameter names of OpenMMLab's mmsegmentation.
    """

    auxiliary_head: FCNHead | None

    def __init__(
        self, head: str, backbone: str, *, num_classes: int, channels: int, aux: bool, output_stride: int
    ) -> None:
        super().__init__()
        self.backbone = BACKBONES[backbone](output_stride)
        widths = self.backbone.channels
        self.decode_head = HEADS[head](widths[-1], channels, num_classes, output_stride)
        self.auxiliary_head = FCNHead(widths[-2], channels // 2, num_classes) if aux else None
        self.feature_channels = {**dict(zip(STAGES, widths, strict=True)), "head": channels}
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        for classifier in (layer.conv_seg for layer in self.modules() if isinstance(layer, DecodeHead)):
            nn.init.normal_(classifier.weight, std=0.01)

    def forward(self, image: Tensor) -> SegOutput:
        """Segment normalised images (B, 3, H, W)."""
        stages: list[Tensor] = self.backbone(image)
        head = self.decode_head(stages[-1])
        aux = self.auxiliary_head
        return SegOutput(
            logits=self.decode_head.classify(head),
            aux_logits=None if aux is None else aux.classify(aux(stages[-2])),
            features={**dict(zip(STAGES, stages, strict=True)), "head": head},
        )
