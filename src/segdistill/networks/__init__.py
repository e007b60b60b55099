"""Networks of any origin: how they are fed and read, frozen as teachers, built by name, kept in files."""

from typing import TYPE_CHECKING

from segdistill.util import lazy

if TYPE_CHECKING:
    from segdistill.networks.classmap import ClassMap, Wanted, map_classes
    from segdistill.networks.exported import (
        EXPORT_KEY,
        EXPORTED,
        Exported,
        ExportFacts,
        ImageLayout,
        need_runtime,
        read_exported,
    )
    from segdistill.networks.feeding import resize_logits
    from segdistill.networks.files import read_network, save_network
    from segdistill.networks.layers import DEFAULTS, Layer, Layers, find_layers, named_layers, with_defaults
    from segdistill.networks.modes import evaluating
    from segdistill.networks.network import Network
    from segdistill.networks.own import is_place, own_network
    from segdistill.networks.reading import LogitsOf, find_logits
    from segdistill.networks.resampling import made_portable, shrink
    from segdistill.networks.sources import SOURCES, create_network
    from segdistill.networks.sources.official import load_official
    from segdistill.networks.syncing import synchronise_norms
    from segdistill.networks.teacher import Teacher
    from segdistill.networks.teachers import ALONE, MEAN, Teachers, classes_of_mean, mean_output, named_teachers
    from segdistill.networks.tensors import read_tensors
    from segdistill.networks.wrapping import as_network
    from segdistill.networks.zoo import list_networks

__getattr__ = lazy(
    __name__,
    {
        "ALONE": "segdistill.networks.teachers",
        "ClassMap": "segdistill.networks.classmap",
        "DEFAULTS": "segdistill.networks.layers",
        "Layer": "segdistill.networks.layers",
        "Layers": "segdistill.networks.layers",
        "EXPORTED": "segdistill.networks.exported",
        "EXPORT_KEY": "segdistill.networks.exported",
        "ExportFacts": "segdistill.networks.exported",
        "Exported": "segdistill.networks.exported",
        "ImageLayout": "segdistill.networks.exported",
        "need_runtime": "segdistill.networks.exported",
        "read_exported": "segdistill.networks.exported",
        "shrink": "segdistill.networks.resampling",
        "made_portable": "segdistill.networks.resampling",
        "LogitsOf": "segdistill.networks.reading",
        "MEAN": "segdistill.networks.teachers",
        "Network": "segdistill.networks.network",
        "SOURCES": "segdistill.networks.sources",
        "Teacher": "segdistill.networks.teacher",
        "Teachers": "segdistill.networks.teachers",
        "Wanted": "segdistill.networks.classmap",
        "as_network": "segdistill.networks.wrapping",
        "classes_of_mean": "segdistill.networks.teachers",
        "create_network": "segdistill.networks.sources",
        "evaluating": "segdistill.networks.modes",
        "find_layers": "segdistill.networks.layers",
        "find_logits": "segdistill.networks.reading",
        "is_place": "segdistill.networks.own",
        "list_networks": "segdistill.networks.zoo",
        "load_official": "segdistill.networks.sources.official",
        "map_classes": "segdistill.networks.classmap",
        "mean_output": "segdistill.networks.teachers",
        "named_teachers": "segdistill.networks.teachers",
        "named_layers": "segdistill.networks.layers",
        "own_network": "segdistill.networks.own",
        "read_network": "segdistill.networks.files",
        "read_tensors": "segdistill.networks.tensors",
        "resize_logits": "segdistill.networks.feeding",
        "save_network": "segdistill.networks.files",
        "synchronise_norms": "segdistill.networks.syncing",
        "with_defaults": "segdistill.networks.layers",
    },
)

__all__ = [
    "ALONE",
    "DEFAULTS",
    "EXPORTED",
    "EXPORT_KEY",
    "MEAN",
    "SOURCES",
    "ClassMap",
    "ExportFacts",
    "Exported",
    "ImageLayout",
    "Layer",
    "Layers",
    "LogitsOf",
    "Network",
    "Teacher",
    "Teachers",
    "Wanted",
    "as_network",
    "classes_of_mean",
    "create_network",
    "evaluating",
    "find_layers",
    "find_logits",
    "is_place",
    "list_networks",
    "load_official",
    "made_portable",
    "map_classes",
    "mean_output",
    "named_layers",
    "named_teachers",
    "need_runtime",
    "own_network",
    "read_exported",
    "read_network",
    "read_tensors",
    "resize_logits",
    "save_network",
    "shrink",
    "synchronise_norms",
    "with_defaults",
]
