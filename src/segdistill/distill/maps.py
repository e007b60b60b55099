"""The maps that a term reads, by the names of layers."""

from torch import Tensor

from segdistill.distill.sources import LOGITS
from segdistill.networks import Network, find_layers
from segdistill.types import SegOutput
from segdistill.util import ArgumentError, nearest


def width_of(network: Network, layer: str, term: str) -> int | None:
    """Channels of a layer; None where a probe could not tell."""
    if layer in LOGITS:
        return network.num_classes
    if layer not in network.taps:
        worth = [one.name for one in find_layers(network).worth]
        raise ArgumentError(
            f"`layer` of the term {term!r} must be 'logits', 'aux_logits' or a feature of the {network.role}; "
            f"got {layer!r}. {nearest(layer, ['logits', *network.taps])} Name it in `features=`, or give `layer=`."
            + (f" Layers worth naming: {', '.join(worth[-8:])}." if worth else "")
        )
    return network.channels.get(layer)


def map_of(output: SegOutput, layer: str, term: str, role: str) -> Tensor:
    """What an output has under the name of a layer."""
    if layer == "logits":
        return output.logits
    if layer == "aux_logits":
        if output.aux_logits is None:
            raise ArgumentError(
                f"the term {term!r} reads the auxiliary logits of the {role}, which has no auxiliary head. "
                "Take a network that has one, or leave 'aux_logits' out of `layer`."
            )
        return output.aux_logits
    if layer not in output.features:
        raise ArgumentError(
            f"the term {term!r} reads {layer!r} from the {role}, whose output has no such feature. "
            f"{nearest(layer, list(output.features))} Name it in the {role}'s `features=`."
        )
    return output.features[layer]
