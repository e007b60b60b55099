"""Segmentation networks: heads of ours on any timm backbone, their files, and the authors' checkpoints."""

from segdistill.models.official import OFFICIAL, load_official
from segdistill.models.segmenter import STAGES, Segmenter
from segdistill.models.weights import read_student, save_student
from segdistill.models.zoo import BACKBONES, MODELS, create_model, list_models

__all__ = [
    "BACKBONES",
    "MODELS",
    "OFFICIAL",
    "STAGES",
    "Segmenter",
    "create_model",
    "list_models",
    "load_official",
    "read_student",
    "save_student",
]
