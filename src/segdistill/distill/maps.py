"""The maps that a term reads, by the names of layers."""

from collections.abc import Mapping

from torch import Tensor

from segdistill.distill.sources import LOGITS
from segdistill.distill.term import BoundTerm
from segdistill.losses import DistillationLoss
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


def taught_map(output: SegOutput, layer: str, term: str) -> Tensor:
    """What an answer of a teacher has for a term: its layer, or what `condensed` made of it."""
    narrow = _narrow(layer, term)
    return map_of(output, narrow if narrow in output.features else layer, term, "teacher")


def condensed(
    teacher: str, output: SegOutput, terms: Mapping[str, BoundTerm], losses: Mapping[str, DistillationLoss]
) -> SegOutput:
    """The answer of a teacher with the features alone that terms read, projected where they compare directions."""
    needed: dict[str, Tensor] = {}
    for name, term in terms.items():
        if term.teacher not in (None, teacher):
            continue
        directions = losses[name].projection
        for _, layer in term.layers:
            feature = output.features.get(layer)
            if feature is not None:
                needed[layer if directions is None else _narrow(layer, name)] = (
                    feature if directions is None else directions(feature)
                )
    return output._replace(features=needed)


def _narrow(layer: str, term: str) -> str:
    """What a condensed answer calls a layer that was projected for a term."""
    return f"{layer} for {term}"
