"""Reading a recipe: its bases, the overrides, one sentence for every fault; and writing it down.

A recipe is a YAML file. ``base: other`` starts from another recipe and changes what is written below it.
``key.path=value`` overrides come last.
"""

import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from yaml import YAMLError

from segdistill.recipe.schema import Recipe
from segdistill.util import RecipeError, as_texts, nearest

MAX_BASES = 5


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files("segdistill.recipe") / "library"
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml"))


def describe_recipes() -> dict[str, str]:
    """What each recipe of the package is, by its name."""
    return {name: str(_read(name, MAX_BASES).get("description", "")) for name in recipe_names()}


def load_recipe(source: str | Path | Recipe, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply ``key.path=value`` overrides, one after the other.

    Args:
        source: Name of a recipe of the package, a YAML file, or a recipe that is loaded already.
        overrides: ``["optim.lr=0.01"]``. A mapping is merged into the one that is there, key by key, but ``{}``
            empties it.

    Raises:
        RecipeError: Unknown recipe, key or value; what YAML cannot read; an override without ``=``.
    """
    as_texts("overrides", overrides, '["optim.lr=0.01"]')
    if isinstance(source, Recipe):
        return change_recipe(source, {}, overrides) if overrides else source
    if not isinstance(source, (str, Path)):
        raise RecipeError(f"`recipe` must be a name, a YAML file or a Recipe; got {source!r}.")
    return parse_recipe(_override(_read(str(source), MAX_BASES), overrides), str(source))


def change_recipe(recipe: Recipe, changes: dict[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """A recipe with other values for whole sections, then with ``key.path=value`` overrides.

    Raises:
        RecipeError: As `load_recipe`.
    """
    values = recipe.model_dump(mode="json") | dict(changes)
    return parse_recipe(_override(OmegaConf.create(values), overrides), recipe.name)


def _override(values: Any, overrides: Sequence[str]) -> Any:
    for override in overrides:
        if "=" not in override.lstrip("="):
            raise RecipeError(f"an override must be key=value; got {override!r}.")
        try:
            values = _merge(values, OmegaConf.from_dotlist([override]))
        except (OmegaConfBaseException, YAMLError, ValueError, TypeError) as error:
            raise RecipeError(f"the override {override!r} does not fit the recipe ({_first_line(error)}).") from None
    return OmegaConf.to_container(values, resolve=False)


def _merge(values: Any, changes: Any) -> Any:
    """Mappings are merged key by key; an empty one replaces what is there, or it could never be got rid of."""
    there, new = (OmegaConf.to_container(each, resolve=False) for each in (values, changes))
    return OmegaConf.merge(OmegaConf.create(_without_emptied(there, new)), changes)


def _without_emptied(values: Any, changes: Any) -> Any:
    if not isinstance(values, dict) or not isinstance(changes, dict):
        return values
    kept = {key: value for key, value in values.items() if changes.get(key) != {}}
    return {key: _without_emptied(value, changes.get(key)) for key, value in kept.items()}


def parse_recipe(values: Any, origin: str) -> Recipe:
    """Validate plain values.

    Raises:
        RecipeError: One sentence for every fault.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        faults = [_sentence(fault["loc"], fault) for fault in error.errors()]
        raise RecipeError(f"recipe {origin}: " + " ".join(faults)) from None


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, which `load_recipe` reads back to an equal one."""
    text: str = OmegaConf.to_yaml(OmegaConf.create(recipe.model_dump(mode="json")))
    return text


def _read(source: str, depth: int) -> Any:
    path = Path(source)
    if not path.suffix and "/" not in source:
        if source in recipe_names():
            path = Path(str(resources.files("segdistill.recipe") / "library" / f"{source}.yaml"))
        elif not path.is_file():
            raise RecipeError(f"there is no recipe {source!r}. {_nearest_recipe(path)}")
    try:
        values = OmegaConf.load(path)
    except OSError as error:
        raise RecipeError(f"the recipe {source} cannot be read ({error.strerror}). {_nearest_recipe(path)}") from None
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, ValueError) as error:
        raise RecipeError(f"the recipe {source} is not valid YAML ({_first_line(error)}).") from None
    if not isinstance(values, DictConfig):
        raise RecipeError(f"the recipe {source} must be a mapping of keys; got {type(values).__name__}.")
    values.setdefault("name", path.stem)
    base = values.pop("base", None)
    if base is None:
        return values
    if depth == 0:
        raise RecipeError(f"the recipe {source} stands on more than {MAX_BASES} bases; does one name itself?")
    beside = path.parent / f"{base}.yaml"
    return _merge(_read(str(beside) if beside.is_file() else str(base), depth - 1), values)


def _nearest_recipe(path: Path) -> str:
    """Recipes of the package, and YAML files of the folder in which one was looked for."""
    files = [file.name for kind in ("*.yaml", "*.yml") for file in path.parent.glob(kind)]
    return nearest(path.name, [*files, *recipe_names()])


def _sentence(location: tuple[int | str, ...], fault: Any) -> str:
    key = ".".join(str(part) for part in location)
    if fault["type"] == "extra_forbidden":
        return f"`{key}` is not a key of a recipe. {nearest(str(location[-1]), _keys_at(location[:-1]))}"
    if fault["type"] == "missing":
        return f"`{key}` must be given."
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return message if message.startswith("`") or not key else f"`{key}`: {message}"
    shown = (
        fault["input"]
        if not isinstance(fault["input"], float) or math.isfinite(fault["input"])
        else str(fault["input"])
    )
    return f"`{key}`: {message[0].lower()}{message[1:]}; got {shown!r}."


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    fields: type[BaseModel] = Recipe
    for part in location:
        annotation = fields.model_fields[str(part)].annotation if str(part) in fields.model_fields else None
        options = [annotation, *getattr(annotation, "__args__", ())]
        fields = next((kind for kind in options if isinstance(kind, type) and issubclass(kind, BaseModel)), Recipe)
    return list(fields.model_fields)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
