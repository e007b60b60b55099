"""Fitting the directions of terms that compare wide maps in few of them, before a training."""

import logging
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Final

from accelerate import Accelerator
from accelerate.utils import broadcast

from segdistill.distill import Distiller, fit_directions
from segdistill.engine import Plan, autocast, to_device
from segdistill.networks import Teacher, Teachers
from segdistill.types import Batch, SegOutput

logger = logging.getLogger(__name__)

NUM_FITTED: Final = 256
"""Images that directions are fitted to: the first of the training, as it crops them."""


def fit_terms(
    distiller: Distiller,
    teacher: Teacher | Teachers | None,
    batches: Callable[[int], Generator[Batch, None, None]],
    accelerator: Accelerator,
    plan: Plan,
    *,
    images: int = NUM_FITTED,
) -> None:
    """Fit every term that wants it; nothing is read where none does. All processes get the directions of the first.

    Args:
        distiller: Has the terms.
        teacher: Answers; None where there are no terms.
        batches: Opens the training's batches from a step on.
        accelerator: Of the run.
        plan: Of the run.
        images: How many are enough.
    """

    def answers() -> Generator[SegOutput | dict[str, SegOutput], None, None]:
        seen = 0
        with closing(batches(0)) as opened:
            for batch in opened:
                assert teacher is not None
                with autocast(accelerator.device, plan.precision):
                    yield teacher(to_device(batch, accelerator.device).image)
                seen += len(batch.image) * accelerator.num_processes
                if seen >= images:
                    return

    with closing(answers()) as said:
        fit_directions(distiller, said)
    for loss in distiller.distillation_losses().values():
        if loss.projection is not None and accelerator.num_processes > 1:
            for buffer in loss.projection.buffers():
                buffer.copy_(broadcast(buffer))
    for note in direction_notes(distiller):
        logger.info(note)


def direction_notes(distiller: Distiller) -> list[str]:
    """A sentence for every term that compares few directions."""
    notes = []
    for name, loss in distiller.distillation_losses().items():
        if (few := loss.projection) is not None:
            layer = distiller.layers[name][0][1]
            notes.append(
                f"{name} compares {few.width} of {few.channels} directions ({few.basis}), which keep "
                f"{100 * float(few.energy):.1f} % of the energy of the teacher's {layer}."
            )
    return notes
