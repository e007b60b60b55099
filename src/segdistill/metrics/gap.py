"""How much of the teacher's lead distillation won. No torch here: reports read it."""


def gap_closed(distilled: float, alone: float, teacher: float) -> float | None:
    """Share of the distance from the student alone to the teacher that distillation covers.

    Returns:
        1 at the teacher's score, 0 without a gain, negative for a loss; None where the teacher is not ahead.

    Example:
        >>> gap_closed(0.65, 0.60, 0.70)
        0.5
    """
    return None if teacher <= alone else round((distilled - alone) / (teacher - alone), 6)
