"""OpenMMLab's networks in plain torch, with OpenMMLab's parameter names: their files load without a table of names."""

from segdistill.networks.openmmlab.backbones import BACKBONES
from segdistill.networks.openmmlab.heads import HEADS
from segdistill.networks.openmmlab.segmentor import EncoderDecoder

__all__ = ["BACKBONES", "HEADS", "EncoderDecoder"]
