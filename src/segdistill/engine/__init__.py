"""The loop and what it is made of: a step, evaluation, checkpoints, optimizers. Built objects and plain numbers in."""

from segdistill.engine import checkpoint
from segdistill.engine.evaluation import (
    Protocol,
    Segment,
    as_unit,
    class_scores,
    evaluate,
    score,
    slide_rows,
    to_device,
)
from segdistill.engine.loop import Progress, train
from segdistill.engine.meter import Meter
from segdistill.engine.optim import make_optimizers, poly_lr
from segdistill.engine.signals import Stopped, StopSignal
from segdistill.engine.step import Loop, Plan, autocast, eager

__all__ = [
    "Loop",
    "Meter",
    "Plan",
    "Progress",
    "Protocol",
    "Segment",
    "StopSignal",
    "Stopped",
    "as_unit",
    "autocast",
    "checkpoint",
    "class_scores",
    "eager",
    "evaluate",
    "make_optimizers",
    "poly_lr",
    "score",
    "slide_rows",
    "to_device",
    "train",
]
