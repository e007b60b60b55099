"""The methods of a comparison: which terms each stands for, as the losses say it."""

from typing import Any

from segdistill.losses.table import LOSSES

Terms = dict[str, dict[str, Any]]


def methods_of(name: str) -> dict[str, Terms]:
    """Methods of a loss: itself and its variants, each beside the losses that stand beside it in published tables.

    Example:
        >>> methods_of("cwd")["cwd_features"]
        {'kd': {}, 'cwd': {'layer': 'head', 'weight': 50.0}}
    """
    loss = LOSSES[name]
    beside = {other: _term(other) for other in loss.beside}
    methods = {name: beside | {name: _term(name)}}
    for suffix, changes in loss.variants.items():
        methods[f"{name}_{suffix}"] = beside | {name: _term(name) | dict(changes)}
    return methods


def _term(name: str) -> dict[str, Any]:
    """The term of a loss with its defaults, which says its layer where that is no logits."""
    layer = LOSSES[name].layer
    return {} if layer == "logits" else {"layer": layer}


METHODS: dict[str, Terms] = {"none": {}} | {
    method: terms for name in LOSSES for method, terms in methods_of(name).items()
}
"""Terms of every method by name, with published weights unless a recipe says otherwise; ``none``: the student alone.

``head`` is the map before the classifier (after ASPP or pyramid pooling), ``layer4`` the last of the backbone.
"""
