"""Errors of what is built, in the words of the recipe."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from segdistill.recipe import TermConfig
from segdistill.util import DataError, DatasetNotFoundError, RecipeError, SegdistillError


@contextlib.contextmanager
def about(keys: Mapping[str, str], *, otherwise: str | None = None) -> Iterator[None]:
    """An error raised within names the recipe's key, ``model.name``, and not the argument ``name``.

    Args:
        keys: Of the recipe by argument. An error that begins with one of them in backticks gets the key instead.
        otherwise: The key that any other error is about; None leaves the error as it is.

    Raises:
        RecipeError: Instead of any error of ours but those about files of the data, which name the file.

    Example:
        >>> with about({"name": "model.name"}):
        ...     raise SegdistillError("`name` must end with a backbone.")
        Traceback (most recent call last):
        segdistill.util.errors.RecipeError: `model.name` must end with a backbone.
    """
    try:
        yield
    except (RecipeError, DataError, DatasetNotFoundError):
        raise
    except SegdistillError as error:
        text = str(error)
        argument = re.match(r"`(\w+)", text)
        if argument is not None and argument[1] in keys:
            raise RecipeError(f"`{keys[argument[1]]}{text[argument.end() :]}") from error
        if otherwise is None:
            raise
        raise RecipeError(f"`{otherwise}`: {text}") from error


def keys_of(section: str, names: Iterable[str]) -> dict[str, str]:
    """Keys of a section of the recipe, by their last name."""
    return {name: f"{section}.{name}" for name in names}


def keys_of_terms(terms: Mapping[str, TermConfig]) -> dict[str, str]:
    """Keys of the options that a recipe gives to one term alone, by their last name."""
    found = [(option, f"terms.{name}.{option}") for name, term in terms.items() for option in term.options]
    count = Counter(option for option, _ in found)
    return {option: key for option, key in found if count[option] == 1}
