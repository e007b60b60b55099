"""What is known of transformers' networks: their families, their configs, and how OneFormer is told its task."""

from segdistill.networks.huggingface.configs import (
    NOT_SHAPE,
    config_of,
    feeding_of,
    forbidden,
    labels_of,
    names_of,
    own_parts,
    plain,
)
from segdistill.networks.huggingface.families import FAMILIES, Family, layers_of
from segdistill.networks.huggingface.task import tell_task, tokens_of

__all__ = [
    "FAMILIES",
    "NOT_SHAPE",
    "Family",
    "config_of",
    "feeding_of",
    "forbidden",
    "labels_of",
    "layers_of",
    "names_of",
    "own_parts",
    "plain",
    "tell_task",
    "tokens_of",
]
