"""Run folders: which one, whether it may be used, and how a start that fails leaves no trace."""

import contextlib
import os
from datetime import datetime
from pathlib import Path

from accelerate.utils import broadcast_object_list

from segdistill import store
from segdistill.experiment.scoring import make_accelerator
from segdistill.recipe import Recipe, differences, load_recipe
from segdistill.util import RecipeError, RunError, nearest


def recipe_of(folder: Path) -> Recipe:
    """The recipe that a run folder was started with."""
    refuse_missing(folder)
    if not (folder / store.RECIPE).is_file():
        raise RunError(f"{folder} is not a run folder: it holds no {store.RECIPE}.")
    return load_recipe(folder / store.RECIPE)


def refuse_missing(path: Path) -> None:
    """Refuse a file or folder that is not there, and say what is there instead."""
    if not path.exists():
        beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise RunError(f"{path} does not exist." + (f" {nearest(path.name, beside)}" if beside else ""))


def refuse_other(folder: Path, recipe: Recipe, remedy: str) -> None:
    """Refuse a folder that holds a run of another recipe; an empty or missing one will do.

    Args:
        folder: Run folder.
        recipe: What it shall hold.
        remedy: How the sentence of the error goes on, before ``, or choose another --out.``

    Raises:
        RecipeError: If it holds something else.
    """
    if not (folder / store.RECIPE).is_file():
        return
    there, here = (each.model_dump(mode="json") for each in (recipe_of(folder), recipe))
    if there != here:
        raise RecipeError(
            f"{folder} holds a run with other settings, which cannot be continued with these: "
            f"{differences(there, here)}. {remedy}, or choose another --out."
        )


def refuse_used(folder: Path) -> None:
    """Refuse to start a run in a folder that holds anything but the log of a start that failed."""
    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"{folder} is a file. Choose another --out: the folder of the run.")
    if not folder.is_dir() or {file.name for file in folder.iterdir()} <= {store.EVENTS, ".lock"}:
        return
    if store.is_complete(folder):
        raise RecipeError(f"{folder} holds a run that is complete: {folder / store.RESULT}. Choose another --out.")
    if (folder / store.RECIPE).is_file():
        raise RecipeError(f"{folder} holds a run. Continue it with --resume {folder}, or choose another --out.")
    raise RecipeError(f"{folder} exists and is not empty, and holds no run. Choose another --out.")


def new_folder(recipe: Recipe, root: Path = Path("runs")) -> Path:
    """``runs/<recipe>/<time>``, the same for all processes of a run.

    Where ``runs/<recipe>`` is a run itself, ``runs/<recipe>-<time>``: a run never lies inside another.
    """
    name = [datetime.now().strftime("%Y%m%d-%H%M%S")]
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        make_accelerator(recipe)  # opens the process group
        broadcast_object_list(name)
    place = root / recipe.name
    taken = any((place / file).exists() for file in (store.RECIPE, store.RESULT, store.EVENTS))
    return root / f"{recipe.name}-{name[0]}" if taken else place / name[0]


class Start:
    """What lies in a folder before a run starts there, to take back what a start writes that fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.missing = [place for place in (folder, *folder.parents) if not place.exists()]
        self.files = set(folder.iterdir()) if folder.is_dir() else set()

    def undo(self) -> None:
        """Remove what is new: files of the folder, and folders that were not there."""
        if self.folder.is_dir():
            for path in set(self.folder.iterdir()) - self.files:
                if path.is_file():
                    path.unlink()
        for place in self.missing:
            with contextlib.suppress(OSError):  # somebody else's by now
                place.rmdir()
