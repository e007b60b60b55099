"""Errors of networks that are built, in the words of the recipe."""

import contextlib
import re
from collections.abc import Iterable, Iterator

from segdistill.util import RecipeError, SegdistillError


@contextlib.contextmanager
def about(section: str, keys: Iterable[str], *, otherwise: str) -> Iterator[None]:
    """An error raised within names the recipe's key: ``model.name`` and not the argument ``name``.

    Args:
        section: Of the recipe.
        keys: Of the section. An error that begins with one of them in backticks gets the section before it.
        otherwise: The key that any other error is about.

    Raises:
        RecipeError: Instead of any error of ours.

    Example:
        >>> with about("model", ["name"], otherwise="model"):
        ...     raise SegdistillError("`name` must end with a backbone.")
        Traceback (most recent call last):
        segdistill.util.errors.RecipeError: `model.name` must end with a backbone.
    """
    try:
        yield
    except RecipeError:
        raise
    except SegdistillError as error:
        text = str(error)
        argument = re.match(r"`(\w+)", text)
        known = argument is not None and argument[1] in keys
        raise RecipeError(f"`{section}.{text[1:]}" if known else f"`{otherwise}`: {text}") from error
