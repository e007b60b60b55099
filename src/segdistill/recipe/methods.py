"""How a recipe changes the terms of the methods of a comparison."""

from collections.abc import Mapping
from typing import Any

from segdistill.recipe.schema import Recipe
from segdistill.util import RecipeError, nearest

Terms = Mapping[str, Mapping[str, Any]]


def method_terms(name: str, recipe: Recipe, methods: Mapping[str, Terms]) -> dict[str, dict[str, Any]]:
    """Terms of a method as plain values.

    What a recipe says under ``terms`` changes the table's term of that name, key by key; what it says of a method
    under ``methods`` is more special and comes last.

    Args:
        name: A method, or losses joined by ``+``, which stand for exactly these terms: ``cwd+mgd``.
        recipe: The recipe that is compared.
        methods: The table: terms of every method by name, as `METHODS` of the losses has it.

    Raises:
        RecipeError: If there is no such method.
    """
    own = _plain(recipe.terms)
    table = {
        method: {key: {**term, **own.get(key, {})} for key, term in terms.items()} for method, terms in methods.items()
    }
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
