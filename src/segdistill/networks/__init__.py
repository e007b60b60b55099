"""Networks of any origin: how they are fed and read, frozen as teachers, built by name, kept in files."""

from typing import TYPE_CHECKING

from segdistill.util import lazy

if TYPE_CHECKING:
    from segdistill.networks.files import read_student, save_student
    from segdistill.networks.sources.official import load_official
    from segdistill.networks.taps import LogitsOf, Normalise, Tapped, find_logits, resize_logits
    from segdistill.networks.teacher import Teacher
    from segdistill.networks.zoo.create import create_model, list_models
    from segdistill.networks.zoo.segmenter import Segmenter

__getattr__ = lazy(
    __name__,
    {
        "LogitsOf": "segdistill.networks.taps",
        "Normalise": "segdistill.networks.taps",
        "Segmenter": "segdistill.networks.zoo.segmenter",
        "Tapped": "segdistill.networks.taps",
        "Teacher": "segdistill.networks.teacher",
        "create_model": "segdistill.networks.zoo.create",
        "find_logits": "segdistill.networks.taps",
        "list_models": "segdistill.networks.zoo.create",
        "load_official": "segdistill.networks.sources.official",
        "read_student": "segdistill.networks.files",
        "resize_logits": "segdistill.networks.taps",
        "save_student": "segdistill.networks.files",
    },
)

__all__ = [
    "LogitsOf",
    "Normalise",
    "Segmenter",
    "Tapped",
    "Teacher",
    "create_model",
    "find_logits",
    "list_models",
    "load_official",
    "read_student",
    "resize_logits",
    "save_student",
]
