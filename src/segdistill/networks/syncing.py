"""Batch normalisation over the images of all processes, in networks of any origin."""

from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from segdistill.networks.network import Network
from segdistill.types import SegOutput
from segdistill.util import NetworkError, quote

TOLERANCE = 1e-3  # of the largest value: above the rounding of TF32, below what a lost activation does


def synchronise_norms(model: nn.Module, network: Network) -> None:
    """Let every batch normalisation of a model count the images of all processes, in place.

    timm's layers keep their activation, which torch's own conversion drops. Of layers that somebody else wrote only
    the network's outputs can tell: they are compared, on a small image in evaluation mode, with what they were.

    Args:
        model: Holds the network, and losses with normalisations of their own.
        network: What is compared; one that takes no probe image is converted unseen.

    Raises:
        NetworkError: If the network's outputs are others; it is spoilt then.
    """
    from timm.layers.norm_act import convert_sync_batchnorm

    strange = sorted({type(layer).__name__ for layer in model.modules() if _is_strange(layer)})
    before = network.trial(network)
    convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    if before is not None and not _equal(before, network.trial(network)):
        raise NetworkError(
            f"the {network.role}'s outputs must be the same with batch normalisation synchronised between processes; "
            f"they change, since it has layers that do more than normalise ({quote(strange) or 'of an unknown kind'}). "
            "Make the activation a layer of its own after nn.BatchNorm2d, set train.freeze_bn=true, or train in one "
            "process."
        )


def _is_strange(layer: nn.Module) -> bool:
    return isinstance(layer, _BatchNorm) and type(layer).__module__.partition(".")[0] not in ("torch", "timm")


def _equal(one: SegOutput, other: SegOutput | None) -> bool:
    if other is None:
        return False
    pairs = zip(_maps(one), _maps(other), strict=True)
    return all(torch.allclose(a, b, rtol=0, atol=TOLERANCE * float(a.abs().max()), equal_nan=True) for a, b in pairs)


def _maps(output: SegOutput) -> list[Tensor]:
    known = (tensor for tensor in (output.logits, output.aux_logits) if tensor is not None)
    return [tensor for tensor in chain(known, output.features.values()) if tensor.numel()]
