"""Which terms each published method stands for in a comparison, and how a recipe changes them."""

from collections.abc import Mapping
from typing import Any

from segdistill.recipe.schema import Recipe
from segdistill.util import RecipeError, nearest

KD: dict[str, Any] = {"kd": {}}

METHODS: dict[str, dict[str, dict[str, Any]]] = {
    "none": {},
    "kd": KD,
    "fitnet": KD | {"fitnet": {"on": "head"}},
    "at": KD | {"at": {"on": "head"}},
    "skd": KD | {"skd": {"on": "head"}},
    "skd_adversarial": KD | {"skd": {"on": "head"}, "skd_adversarial": {}},
    "ifvd": KD | {"ifvd": {"on": "head"}},
    "cwd": KD | {"cwd": {}},
    "cwd_features": KD | {"cwd": {"on": "head", "weight": 50.0}},
    "dsd": {"dsd": {"on": "head"}},
    "mgd": KD | {"mgd": {"on": "layer4"}},
    "cirkd": KD | {"cirkd": {"on": "head"}},
    "cirkd_memory": KD | {"cirkd": {"on": "head", "memory": True}},
    "maskd": {"maskd": {}},
    "dist": {"dist": {}},
    "acam": KD | {"acam": {"on": "head"}},
    "af_dcd": KD | {"af_dcd": {"on": "layer4"}},
}
"""Terms of every method by name, with published weights unless a recipe says otherwise.

KD stands beside all but DSD, MasKD and DIST, as in the tables that Af-DCD is compared in. ``head`` is the map before
the classifier (after ASPP or pyramid pooling), ``layer4`` the last of the backbone.
"""


def method_terms(name: str, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Terms of a method as plain values.

    What a recipe says under ``terms`` changes the table's term of that name, key by key; what it says of a method
    under ``methods`` is more special and comes last.

    Args:
        name: A method, or losses joined by ``+``, which stand for exactly these terms: ``cwd+mgd``.
        recipe: The recipe that is compared.

    Raises:
        RecipeError: If there is no such method.
    """
    own = _plain(recipe.terms)
    table = {method: {key: term | own.get(key, {}) for key, term in terms.items()} for method, terms in METHODS.items()}
    for method, terms in recipe.methods.items():
        table[method] = {key: own.get(key, {}) | term for key, term in _plain(terms).items()}
    if name in table:
        return table[name]
    if "+" in name:
        return {part: _term(part, table) for part in name.split("+")}
    raise RecipeError(
        f"`methods` must name known methods, or losses joined by +; got {name!r}. {nearest(name, table)} "
        "A recipe may add its own under `methods`."
    )


def _term(name: str, table: Mapping[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """A single loss with the settings that its method gives it."""
    if name not in table or name not in table[name]:
        known = [key for key, terms in table.items() if key in terms]
        raise RecipeError(f"{name!r} in a method joined by + must be a loss of a method. {nearest(name, known)}")
    return table[name][name]


def _plain(terms: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a recipe says of its terms, without defaults."""
    return {name: term.model_dump(mode="json", exclude_unset=True) for name, term in terms.items()}
