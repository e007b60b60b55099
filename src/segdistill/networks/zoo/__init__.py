"""Our own networks: a head of ours on a backbone of timm."""

from segdistill.networks.zoo.create import HEADS, create, list_networks
from segdistill.networks.zoo.segmenter import Segmenter

__all__ = ["HEADS", "Segmenter", "create", "list_networks"]
