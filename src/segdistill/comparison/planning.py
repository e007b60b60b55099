"""What a comparison consists of: methods x settings x seeds as recipes that differ in nothing else."""

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast, get_args

from segdistill.experiment import given_changes
from segdistill.losses import METHODS
from segdistill.networks import ALONE, is_place
from segdistill.recipe import Recipe, change_recipe, load_recipe, method_terms
from segdistill.util import RecipeError, as_texts, nearest

GRAD_NORM_MEASUREMENTS = 20  # over a run

Budget = Literal["iterations", "time"]


class Own(NamedTuple):
    """Networks of the user's code that take the place of the recipe's, each as ``module:function``.

    Attributes:
        student: Built anew for every run.
        teacher: Used by every run that has terms.
    """

    student: str | None = None
    teacher: str | None = None


NO_OWN: Final = Own()
"""The networks are those of the recipe."""


class Planned(NamedTuple):
    """A run that shall be done.

    Attributes:
        title: For the progress bar.
        recipe: What to do.
        folder: Where.
        own: Networks of the user's.
    """

    title: str
    recipe: Recipe
    folder: Path
    own: Own = NO_OWN


class Variant(NamedTuple):
    """A method with its settings: one row of the table.

    Attributes:
        name: Of the row and of its folder.
        method: Name of the method.
        settings: The varied keys and their values.
        recipe: What it does, at the first seed.
    """

    name: str
    method: str
    settings: dict[str, str]
    recipe: Recipe


class Comparison(NamedTuple):
    """What shall be compared.

    Attributes:
        folder: Where runs, tables and report go.
        recipe: The recipe that all runs share.
        teacher: The run that makes the teacher, or None where it is given.
        variants: Rows.
        seeds: Of every row.
        budget: ``"iterations"``: every run has the recipe's steps. ``"time"``: every run has equal seconds.
        seconds: Of a run, under the time budget; None: what the slowest method needs for the recipe's steps.
        against: A row that differences are also taken to.
        own: Networks of the user's.
    """

    folder: Path
    recipe: Recipe
    teacher: Planned | None
    variants: list[Variant]
    seeds: list[int]
    budget: Budget = "iterations"
    seconds: float | None = None
    against: str | None = None
    own: Own = NO_OWN

    @property
    def folders(self) -> list[Path]:
        """Of its runs, in the order in which they are done: seed by seed."""
        return [self.folder / variant.name / str(seed) for variant, seed in in_order(self.variants, self.seeds)]


def in_order(variants: Sequence[Variant], seeds: Sequence[int]) -> Iterator[tuple[Variant, int]]:
    """Every variant with every seed, seed by seed, so that an early stop leaves whole comparisons."""
    return ((variant, seed) for seed in seeds for variant in variants)


def plan(
    source: str | Path | Recipe,
    overrides: Sequence[str] = (),
    *,
    methods: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    vary: Mapping[str, Sequence[Any]] | Sequence[str] = (),
    student: str | None = None,
    teacher: str | None = None,
    teacher_overrides: Sequence[str] = (),
    budget: str = "iterations",
    seconds: float | None = None,
    against: str | None = None,
) -> Comparison:
    """Work out every run of a comparison; nothing is built or written yet.

    Args:
        source: Recipe that all runs share.
        overrides: ``key=value`` on it.
        methods: Names in ``METHODS`` or in the recipe's ``methods``, or losses joined by ``+``. ``none``, the
            student alone, is always added.
        seeds: Of weights, data order, augmentation and masks; each is used by every method.
        folder: Where it all goes.
        vary: Values by key, or texts ``key=value,value,...``: each method that has the key is run once for each value.
        student: Place of a function that builds the student, ``module:function``. Default: the recipe's ``model``.
        teacher: A run folder or weights file, a recipe whose run becomes the teacher, once, or a place,
            ``module:function``. Default: the recipe's ``teacher.weights``.
        teacher_overrides: ``key=value`` on the teacher's recipe, after those of ``overrides`` about data.
        budget: See `Comparison`.
        seconds: See `Comparison`.
        against: See `Comparison`; default: ``kd`` where it is compared.

    Raises:
        RecipeError: If a method, key or value does not exist, or two rows would be the same.
    """
    if budget not in get_args(Budget):
        raise RecipeError(f"`budget` must be iterations or time; got {budget!r}.")
    if seconds is not None and (budget != "time" or not 0 < seconds < math.inf):
        raise RecipeError(f"`seconds` must be above 0 and needs --budget time; got {seconds} with {budget}.")
    if not seeds or len(set(seeds)) != len(seeds):
        raise RecipeError(f"`seeds` must be different numbers, at least one; got {list(seeds)}.")
    varied = _varied(vary)
    taught_by, needs = _plan_teacher(teacher, folder, overrides, teacher_overrides)
    own = Own(student, teacher if is_place(teacher) else None)
    given = () if own.teacher is None else (ALONE,)
    shared = load_recipe(source, given_changes([*needs, *overrides], student is not None, given))
    variants: list[Variant] = []
    for method in dict.fromkeys(["none", *methods]):
        variants += _variants(method, shared, varied)
    _check_rows(variants, [key for key, _ in varied])
    names = [variant.name for variant in variants]
    if against is None:
        against = "kd" if "kd" in names else None
    elif against not in names or against == "none":
        raise RecipeError(f"`against` must name a row other than none; got {against!r}. {nearest(against, names)}")
    return Comparison(folder, shared, taught_by, variants, list(seeds), cast(Budget, budget), seconds, against, own)


def parse_seeds(text: str) -> list[int]:
    """How many seeds, counted from 0, or a list by commas.

    >>> parse_seeds("3"), parse_seeds("4,7"), parse_seeds("5,")
    ([0, 1, 2], [4, 7], [5])
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts if part) or not parts[0] or parts == ["0"]:
        raise RecipeError(f"--seeds must be a number above 0 or a list of seeds by commas; got {text!r}.")
    return list(range(int(parts[0]))) if len(parts) == 1 else [int(part) for part in parts if part]


def _plan_teacher(
    teacher: str | None, folder: Path, overrides: Sequence[str], teacher_overrides: Sequence[str]
) -> tuple[Planned | None, list[str]]:
    """The teacher's run, if it is a recipe, and the override that gives its weights to the others."""
    if teacher is None:
        if teacher_overrides:
            raise RecipeError("overrides of the teacher need a recipe that makes it. Give --teacher RECIPE.")
        return None, []
    if is_place(teacher):
        if teacher_overrides:
            raise RecipeError(f"{teacher} is no recipe, so it takes no overrides.")
        return None, []
    if Path(teacher).is_dir() or Path(teacher).suffix not in ("", ".yaml"):
        if teacher_overrides:
            raise RecipeError(f"{teacher} is trained already, so it takes no overrides.")
        return None, [f"teacher.weights={teacher}"]
    about_data = [override for override in overrides if override.startswith("data.")]
    recipe = load_recipe(teacher, [*about_data, *teacher_overrides])
    return Planned("teacher", recipe, folder / "teacher"), [f"teacher.weights={folder / 'teacher'}"]


def _variants(method: str, shared: Recipe, vary: Sequence[tuple[str, list[str]]]) -> Iterator[Variant]:
    """One method with every combination of the varied settings that concern it."""
    terms = method_terms(method, shared, METHODS)
    concerned = [(key, values) for key, values in vary if not key.startswith("terms.") or key.split(".")[1] in terms]
    for chosen in itertools.product(*(values for _, values in concerned)):
        settings = dict(zip((key for key, _ in concerned), chosen, strict=True))
        label = [method, *(f"{key.rpartition('.')[2]}-{value}" for key, value in settings.items())]
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(label)).strip("-")
        changes: dict[str, Any] = {"name": name, "terms": terms, "methods": {}, "role": "student"}
        if not terms:
            changes |= {"teacher": None, "teachers": {}}
        if shared.train.grad_norms_every is None:
            every = max(1, shared.train.iterations // GRAD_NORM_MEASUREMENTS)
            changes["train"] = shared.train.model_dump() | {"grad_norms_every": every}
        recipe = change_recipe(shared, changes, [f"{key}={value}" for key, value in settings.items()])
        yield Variant(name, method, settings, recipe)


def _varied(vary: Mapping[str, Sequence[Any]] | Sequence[str]) -> list[tuple[str, list[str]]]:
    """Keys and the texts of their values."""
    if not isinstance(vary, Mapping):
        return [_parse_vary(text) for text in as_texts("vary", vary, '["optim.lr=0.1,0.2"]')]
    found = []
    for key, values in vary.items():
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise RecipeError(f"`vary` must give a list of values for {key!r}; got {values!r}.")
        texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
        if not texts or len(set(texts)) != len(texts):
            raise RecipeError(f"`vary` must give different values for {key!r}; got {values!r}.")
        found.append((key, texts))
    return found


def _parse_vary(text: str) -> tuple[str, list[str]]:
    """``key=a,b`` as key and values; commas inside brackets do not part.

    >>> _parse_vary("terms.af_dcd.patch_size=[2,2],[4,4]")
    ('terms.af_dcd.patch_size', ['[2,2]', '[4,4]'])
    """
    key, _, values = text.partition("=")
    parts = [part.strip() for part in re.split(r",(?![^\[\]{}]*[\]}])", values)]
    if not key or not all(parts) or len(set(parts)) != len(parts):
        raise RecipeError(f"--vary must be key=value,value,... with different values; got {text!r}.")
    return key, parts


def _check_rows(variants: Sequence[Variant], varied: Sequence[str]) -> None:
    """Refuse rows of one name, reserved names, and varied keys that concern no row."""
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) > 1 or name == "teacher":
            raise RecipeError(f"every row needs a name of its own; {name!r} is taken. Rename the method.")
    for key in varied:
        if not any(key in variant.settings for variant in variants):
            raise RecipeError(f"--vary {key} concerns none of the methods compared: {', '.join(names)}.")
