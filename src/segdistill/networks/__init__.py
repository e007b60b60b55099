"""Networks of any origin: how they are fed and read, frozen as teachers, built by name, kept in files."""

from typing import TYPE_CHECKING

from segdistill.util import lazy

if TYPE_CHECKING:
    from segdistill.networks.feeding import resize_logits
    from segdistill.networks.files import read_network, save_network
    from segdistill.networks.layers import DEFAULTS, Layer, Layers, find_layers, named_layers, with_defaults
    from segdistill.networks.modes import evaluating
    from segdistill.networks.network import Network
    from segdistill.networks.own import is_place, own_network
    from segdistill.networks.reading import LogitsOf, find_logits
    from segdistill.networks.sources import SOURCES, create_network
    from segdistill.networks.sources.official import load_official
    from segdistill.networks.teacher import Teacher
    from segdistill.networks.tensors import read_tensors
    from segdistill.networks.wrapping import as_network
    from segdistill.networks.zoo import list_networks

__getattr__ = lazy(
    __name__,
    {
        "DEFAULTS": "segdistill.networks.layers",
        "Layer": "segdistill.networks.layers",
        "Layers": "segdistill.networks.layers",
        "LogitsOf": "segdistill.networks.reading",
        "Network": "segdistill.networks.network",
        "SOURCES": "segdistill.networks.sources",
        "Teacher": "segdistill.networks.teacher",
        "as_network": "segdistill.networks.wrapping",
        "create_network": "segdistill.networks.sources",
        "evaluating": "segdistill.networks.modes",
        "find_layers": "segdistill.networks.layers",
        "find_logits": "segdistill.networks.reading",
        "is_place": "segdistill.networks.own",
        "list_networks": "segdistill.networks.zoo",
        "load_official": "segdistill.networks.sources.official",
        "named_layers": "segdistill.networks.layers",
        "own_network": "segdistill.networks.own",
        "read_network": "segdistill.networks.files",
        "read_tensors": "segdistill.networks.tensors",
        "resize_logits": "segdistill.networks.feeding",
        "save_network": "segdistill.networks.files",
        "with_defaults": "segdistill.networks.layers",
    },
)

__all__ = [
    "DEFAULTS",
    "SOURCES",
    "Layer",
    "Layers",
    "LogitsOf",
    "Network",
    "Teacher",
    "as_network",
    "create_network",
    "evaluating",
    "find_layers",
    "find_logits",
    "is_place",
    "list_networks",
    "load_official",
    "named_layers",
    "own_network",
    "read_network",
    "read_tensors",
    "resize_logits",
    "save_network",
    "with_defaults",
]
