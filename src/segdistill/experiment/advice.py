"""Which part of a step is the slowest, and the one option of the recipe that would help."""

from collections.abc import Mapping

from segdistill.experiment.teachers import key_of
from segdistill.recipe import Recipe

DRAWN = "streets"  # there are no files to decode


def advise(shares: Mapping[str, float], recipe: Recipe, *, on_gpu: bool, cores: int) -> str:
    """A sentence about the slowest stage, and one about what to try.

    Args:
        shares: Of the step's time, by the name of a stage: see `profiling.Stage`.
        recipe: As `for_device` gave it.
        on_gpu: Whether the step ran on one.
        cores: Of the machine.
    """
    slowest = max(shares, key=lambda name: shares[name])
    if slowest == "loading":
        remedy = _loading(recipe, cores)
    elif slowest == "teacher":
        remedy = _teacher(recipe, on_gpu=on_gpu)
    elif slowest == "student":
        remedy = _student(recipe, on_gpu=on_gpu)
    elif slowest == "task":
        remedy = "It grows with the pixels of a crop: try a smaller data.crop_size."
    elif slowest == "optimizer":
        remedy = "It costs the same for any number of images: try a larger data.batch_size."
    else:
        remedy = _term(slowest, recipe, on_gpu=on_gpu)
    return f"Slowest: {slowest}, {100 * shares[slowest]:.0f} % of the step. {remedy}"


def _loading(recipe: Recipe, cores: int) -> str:
    data = recipe.data
    if data.cache is None and data.dataset != DRAWN:
        return "Decode the images once: segdistill prepare RECIPE --out FOLDER, then data.cache=FOLDER."
    if data.num_workers < cores:
        return f"Try more processes that load: data.num_workers={cores}; now {data.num_workers}."
    return f"All {cores} cores load already: the machine has too few of them for this recipe."


def _teacher(recipe: Recipe, *, on_gpu: bool) -> str:
    for name, config in recipe.taught_by.items():
        key = key_of(name, recipe)
        if on_gpu and (config.precision or recipe.train.precision) != "bf16":
            return f"Try {key}.precision=bf16."
        if not config.fold_bn:
            return f"Try {key}.fold_bn=true."
        if not config.compile:
            return f"Try {key}.compile=true."
    return "It is as cheap as options make it: what is left is a smaller teacher."


def _student(recipe: Recipe, *, on_gpu: bool) -> str:
    train = recipe.train
    if on_gpu and train.precision != "bf16":
        return "Try train.precision=bf16."
    if not train.channels_last:
        return "Try train.channels_last=true."
    if not train.compile:
        return "Try train.compile=true."
    return "It is as cheap as options make it: what is left is a smaller student or data.crop_size."


def _term(name: str, recipe: Recipe, *, on_gpu: bool) -> str:
    if name in recipe.terms and recipe.terms[name].options.get("impl") == "reference":
        return f"Try terms.{name}.impl=auto."
    if on_gpu and recipe.train.precision != "bf16":
        return "Try train.precision=bf16."
    return f"It grows with the maps that it reads: try another terms.{name}.layer, of fewer channels or positions."
