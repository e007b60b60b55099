"""Whether a teacher knows the data: asked before a training, not after it."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import torch

from segdistill import store
from segdistill.data import Selection, eval_loader, spread
from segdistill.engine import Protocol, evaluate
from segdistill.experiment.session import Built
from segdistill.experiment.settings import build_plan
from segdistill.experiment.teachers import key_of, knows_classes
from segdistill.metrics import scores
from segdistill.networks import Teacher
from segdistill.recipe import Recipe, TeacherConfig, load_recipe
from segdistill.store import Asked, Result
from segdistill.types import Batch
from segdistill.util import RecipeError, SegdistillError

NUM_ASKED: Final = 32
"""Validation images, at even distances."""
LEAST_ASKED: Final = 4
MOST_SECONDS: Final = 30.0
"""After which no further image is asked about."""
ABOVE_CHANCE: Final = 1.1
"""A teacher must score more than so many times what needs no teacher."""
OF_RECORDED: Final = 0.5
"""And at least this share of what its own run recorded on the same data."""

_CAUSES: Final = (
    "Usual causes are the normalisation (`{key}.options.mean`, `std`), the order of its classes (`{key}.classes`) and "
    "red and blue exchanged (`{key}.options.bgr`). `{key}.check=false` trains all the same."
)


def ask_teachers(recipe: Recipe, built: Built, device: torch.device) -> dict[str, Asked]:
    """Score every teacher on a few validation images: seconds, before hours.

    Those that know no class, or need not be asked, are not. Chance is what no network is needed for, see `chance_of`.

    Raises:
        RecipeError: If one is at chance level, or far below the score that its own run recorded on the same data.
    """
    dataset = built.val_set or built.test_set
    asked: dict[str, Asked] = {}
    for name, teacher in built.teachers.items():
        config = recipe.taught_by.get(name)
        if dataset is None or (config is not None and not config.check) or not knows_classes(teacher, built.labels):
            continue
        found = spread(len(dataset), NUM_ASKED)
        images = Selection([(dataset, index) for start in range(4) for index in found[start::4]])
        answer = _ask(teacher, images, recipe, built, device)
        if answer is None:
            continue
        title = name if config is None else config.title
        asked[name] = answer.model_copy(update={"recorded": None if config is None else _recorded(config, recipe)})
        _judge(asked[name], f"the teacher {title}", key_of(name, recipe))
    return asked


def sentence(name: str, asked: Asked) -> str:
    """What was found, in words.

    >>> sentence("the teacher", Asked(miou=0.61, pixel_accuracy=0.9, chance=0.12, images=32))
    'the teacher has a mIoU of 61.00 % on 32 validation images; chance is 12.00 %'
    """
    recorded = "" if asked.recorded is None else f", and its own run recorded {100 * asked.recorded:.2f} %"
    return (
        f"{name} has a mIoU of {100 * asked.miou:.2f} % on {asked.images} validation "
        f"image{'s'[: asked.images != 1]}; chance is {100 * asked.chance:.2f} %{recorded}"
    )


def chance_of(counts: torch.Tensor) -> float:
    """The best mIoU that needs no look at an image: the most frequent class everywhere, or classes drawn at random.

    They are drawn all alike, or as often as they occur. The expected IoU of a class that is a share f of the pixels
    and is predicted on a share q is ``f q / (f + q - f q)``.

    Args:
        counts: Pixels of every class.

    Example:
        >>> round(chance_of(torch.tensor([90, 10])), 3)
        0.45
    """
    share = counts[counts > 0].double() / counts.sum()
    constant = share.max() / len(share)
    drawn = [share * q / (share + q - share * q) for q in (share, torch.full_like(share, 1 / len(share)))]
    return float(max(constant, *(iou.mean() for iou in drawn)))


def _ask(teacher: Teacher, images: Selection, recipe: Recipe, built: Built, device: torch.device) -> Asked | None:
    """Its score over the classes that it knows; None where no image has a label of one."""
    seen = 0

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1

    confusion = evaluate(
        teacher.segment,
        _in_time(eval_loader(images, num_workers=recipe.data.num_workers, image_scale=recipe.data.image_scale)),
        num_classes=built.labels.num_classes,
        device=device,
        protocol=Protocol(window=recipe.evaluate.window),
        precision=build_plan(recipe).precision,
        on_image=count,
    )
    if teacher.classes is not None:
        confusion = confusion[list(teacher.classes.known)][:, list(teacher.classes.known)]
    if not confusion.any():
        return None
    found = scores(confusion)
    chance = chance_of(confusion.sum(1).cpu())
    return Asked(miou=found.miou, pixel_accuracy=found.pixel_accuracy, chance=chance, images=seen)


def _in_time(batches: Iterable[Batch]) -> Iterator[Batch]:
    begun = time.monotonic()
    for number, batch in enumerate(batches):
        if number >= LEAST_ASKED and time.monotonic() - begun > MOST_SECONDS:
            return
        yield batch


def _recorded(config: TeacherConfig, recipe: Recipe) -> float | None:
    """The score in the result of the teacher's run, if it is one of the same data and classes."""
    if config.weights is None or config.classes is not None:
        return None
    folder = Path(config.weights)
    folder = folder if folder.is_dir() else folder.parent
    if not (store.is_complete(folder) and (folder / store.RECIPE).is_file()):
        return None
    try:
        data = load_recipe(folder / store.RECIPE).data
        result = store.read_record(Result, folder / store.RESULT)
    except SegdistillError:  # of an older version: no score to hold it to
        return None
    same = (data.dataset, data.root) == (recipe.data.dataset, recipe.data.root)
    return result.score.miou if same and result.score is not None else None


def _judge(asked: Asked, who: str, key: str) -> None:
    reason = ""
    if asked.miou < ABOVE_CHANCE * asked.chance:
        reason = "it does not know them better than chance"
    elif asked.recorded is not None and asked.miou < OF_RECORDED * asked.recorded:
        reason = "that is less than half of it"
    if reason:
        raise RecipeError(f"`{key}`: {sentence(who, asked)}: {reason}. {_CAUSES.format(key=key)}")
