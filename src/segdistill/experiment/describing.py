"""What a result calls the teacher and the terms of a recipe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segdistill import store
from segdistill.losses import LOSSES
from segdistill.recipe import TeacherConfig, TermConfig
from segdistill.store import Result, TermRecord


def teacher_name(config: TeacherConfig) -> str:
    """The teacher's network if it is a run of ours or of a source, else the name of its weights."""
    if config.weights is None:
        return str(config.name)
    weights = Path(config.weights)
    result = weights / store.RESULT
    return store.read_record(Result, result).model if result.is_file() else weights.stem


def term_record(name: str, term: TermConfig, suited: Mapping[str, Any]) -> TermRecord:
    """A term with its title for tables, and the options that followed the size of its map."""
    loss = term.loss or name
    settings = term.model_dump(mode="json", exclude={"loss"}) | dict(suited)
    return TermRecord(title=LOSSES[loss].title, loss=loss, settings=settings)
