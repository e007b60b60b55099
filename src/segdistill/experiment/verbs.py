"""Verbs that a recipe or a run is enough for: train, evaluate, prepare."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from segdistill import store
from segdistill.data import Fault
from segdistill.data import prepare as write_cache
from segdistill.experiment.datasets import build_sources
from segdistill.experiment.folders import new_folder, refuse_missing, refuse_used
from segdistill.experiment.given import Given, recipe_with
from segdistill.experiment.scoring import score_network
from segdistill.experiment.training import run_recipe
from segdistill.networks import EXPORTED, is_place
from segdistill.recipe import Recipe, load_recipe
from segdistill.util import ArgumentError, RunError, Stopped, as_path, verb


class Evaluation(NamedTuple):
    """Scores of a trained network.

    Attributes:
        score: As in ``result.json``: mIoU, pixel accuracy, IoU by class name, boundary scores.
        protocol: How they were taken, in words.
    """

    score: dict[str, Any]
    protocol: str

    @property
    def miou(self) -> float:
        """Mean IoU in [0, 1]."""
        return float(self.score["miou"])

    def frame(self) -> list[dict[str, Any]]:
        """A row a class: ``class``, ``iou`` and, where it was scored, ``boundary_iou`` and ``boundary_f``."""
        rows = [{"class": name, "iou": iou} for name, iou in self.score["per_class_iou"].items()]
        edges = self.score.get("boundary")
        if edges:
            for row in rows:
                row["boundary_iou"] = edges["per_class_iou"][row["class"]]
                row["boundary_f"] = edges["per_class_f"][row["class"]]
        return rows


class Trained(NamedTuple):
    """A run that is complete.

    Attributes:
        folder: Where it lies; `sd.load`, `sd.evaluate`, `sd.predict` and `sd.report` take it.
        result: Its ``result.json``: score, protocol, cost.
    """

    folder: Path
    result: dict[str, Any]

    @property
    def evaluation(self) -> Evaluation | None:
        """Its scores; None for a run without a set to score it on."""
        score = self.result["score"]
        return None if score is None else Evaluation(score, self.result["protocol"])

    def frame(self) -> list[dict[str, Any]]:
        """How the training went: a row a record, with ``step`` and what was logged: ``loss``, ``val.miou``, ..."""
        return [_flat(record) for record in store.read_records(self.folder / store.METRICS)]


class Cached(NamedTuple):
    """A cache of decoded images.

    Attributes:
        folder: For ``data.cache``.
        faults: What is wrong with images that could not be stored.
    """

    folder: Path
    faults: list[Fault]

    def frame(self) -> list[dict[str, Any]]:
        """A row a fault: ``path``, ``problem``, ``remedy``."""
        return [{**fault._asdict(), "path": str(fault.path)} for fault in self.faults]


@verb
def train(
    recipe: str | Path | Recipe,
    student: nn.Module | str | None = None,
    teacher: Given | None = None,
    *,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    resume: bool = False,
    on_log: Callable[[dict[str, Any]], None] | None = None,
) -> Trained:
    """Train a teacher, a student alone or a distillation, as the recipe says; score it and write its folder.

    Args:
        recipe: Name of a recipe, a YAML file, or a loaded recipe.
        student: A network of yours instead of the recipe's ``model``; it is trained in place. Or the place of a
            function that builds it, ``module:function``, see `own_network`.
        teacher: A network of yours instead of the recipe's ``teacher``, several by name, or a place.
        overrides: ``["optim.lr=0.01"]``, on the recipe.
        out: Run folder, new or empty. Default: ``runs/<recipe>/<time>``.
        resume: Continue in ``out`` an interrupted run of the same recipe, return one that is complete as it is, and
            start one where there is none: the same script, run again, goes on where it was.
        on_log: Called with every training and validation record.

    Raises:
        SegdistillError: What is wrong with recipe, data, networks or folder, in a sentence, before the first step.
        Stopped: SIGINT or SIGTERM came; everything is saved.

    Example:
        >>> import tempfile
        >>> tiny = ["data.options={num_images: 2, num_train: 2, size: [32, 48]}", "data.crop_size=[32,48]",
        ...         "data.batch_size=2", "train.iterations=1", "train.device=cpu"]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trained = train("demo_student", overrides=tiny, out=f"{folder}/run")
        >>> trained.folder.name, trained.result["iterations"], 0 <= trained.evaluation.miou <= 1
        ('run', 1, True)
    """
    chosen = recipe_with(recipe, overrides, student, teacher)
    if resume and out is None:
        raise ArgumentError("`resume` needs `out`, the folder of the run to continue.")
    folder = new_folder(chosen) if out is None else as_path("out", out)
    begun = resume and (folder / store.RECIPE).is_file()
    if not begun and os.environ.get("RANK", "0") == "0":  # the others may come when this one has begun
        refuse_used(folder)
    try:
        result = run_recipe(chosen, folder, student=student, teacher=teacher, resume=resume, on_log=on_log)
    except Stopped as stop:
        places = [f" --{role} {own}" for role, own in (("student", student), ("teacher", teacher)) if is_place(own)]
        remedy = f"Continue with: segdistill train --resume {folder}{''.join(places)}"
        raise Stopped(stop.step, stop.signum, remedy) from None
    return Trained(folder, result)


@verb
def evaluate(
    run: str | Path,
    *,
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    split: str | None = None,
    official: str | None = None,
    student: nn.Module | str | None = None,
) -> Evaluation:
    """Score a trained network: mIoU, pixel accuracy, IoU and boundary scores of each class, under a named protocol.

    Args:
        run: A run folder, or a file in its ``export``; or, with ``recipe``, a ``student.safetensors``, an exported file
            from anywhere, or a checkpoint of the paper's authors.
        recipe: Names the data. Default: the recipe of the run.
        overrides: ``["evaluate.flip=true"]``, on the recipe.
        split: Default: the recipe's test split, else its validation split.
        official: Which of the authors' networks a ``.pth`` holds, for example ``deeplabv3_resnet18``.
        student: As in `load`, where the network came from code of your own.

    Raises:
        SegdistillError: What is wrong with the network, the recipe or the data, in a sentence.

    Example:
        ``sd.evaluate("runs/student", split="test").frame()`` gives ``[{"class": "road", "iou": 0.93, ...}, ...]``.
    """
    place = as_path("run", run)
    refuse_missing(place)
    folder = place if place.is_dir() else place.parent.parent if place.suffix in EXPORTED else place
    if recipe is None and not (folder / store.RECIPE).is_file():
        raise RunError(f"{place} is not a run folder, so --recipe must name the data to score it on.")
    chosen = load_recipe(folder / store.RECIPE if recipe is None else recipe, overrides)
    return Evaluation(**score_network(chosen, place, split=split, official=official, student=student))


@verb
def prepare(
    recipe: str | Path | Recipe,
    out: str | Path,
    *,
    overrides: Sequence[str] = (),
    announce: Callable[[int, int], None] | None = None,
    advance: Callable[[str, int, int], None] | None = None,
) -> Cached:
    """Decode every image of a recipe once, into a cache that training reads crops from: far faster than PNG.

    Args:
        recipe: Names the data.
        out: Folder of the cache; ``data.cache`` names it afterwards. Run again, it goes on where it stopped.
        overrides: ``["data.root=FOLDER"]``, on the recipe.
        announce: Called before writing with the bytes to write and the bytes that are free.
        advance: Called with the split's title, images done and images in all.

    Raises:
        SegdistillError: What is wrong with the recipe, the data or the folder, in a sentence.

    Example:
        ``sd.prepare("cityscapes_teacher", "cache", overrides=["data.root=FOLDER"]).faults`` is empty if all is well.
    """
    chosen, folder = load_recipe(recipe, overrides), as_path("out", out)
    workers = chosen.data.num_workers
    faults = write_cache(build_sources(chosen), folder, num_workers=workers, announce=announce, progress=advance)
    return Cached(folder, faults)


def _flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Numbers of a record under dotted names."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
