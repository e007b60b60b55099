"""The tree of errors: each is the root's and the built-in one that a Python programmer would catch."""

import ast
import inspect
import pickle
from pathlib import Path

import pytest

import segdistill
from segdistill import util
from segdistill.util import DataError, FoldError, NetworkError, SegdistillError, errors

BUILT_IN = {
    "ArgumentError": ValueError,
    "CheckpointError": ValueError,
    "DataError": ValueError,
    "DatasetNotFoundError": FileNotFoundError,
    "FoldError": ValueError,
    "ImageError": ValueError,
    "MissingFileError": FileNotFoundError,
    "NetworkError": ValueError,
    "NotFiniteError": RuntimeError,
    "RecipeError": ValueError,
    "RunError": ValueError,
    "UnavailableError": RuntimeError,
    "WeightsError": ValueError,
}


def classes():
    found = inspect.getmembers(errors, inspect.isclass)
    return {name: kind for name, kind in found if issubclass(kind, Exception) and kind is not SegdistillError}


def test_the_tree_is_whole_and_all_of_it_is_at_the_door():
    assert set(classes()) == {*BUILT_IN, "Stopped"}  # a stop is no mistake: no built-in error is like it
    assert {*classes(), "SegdistillError"} <= set(util.__all__)
    assert set(SegdistillError.__subclasses__()) | {FoldError} == set(classes().values())
    assert FoldError.__base__ is NetworkError


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_error_is_the_roots_and_a_built_in_one(name):
    kind = classes()[name]
    assert issubclass(kind, SegdistillError)
    assert issubclass(kind, BUILT_IN[name])
    assert kind.__doc__.endswith(".") or "Attributes:" in kind.__doc__


@pytest.mark.parametrize("name", sorted(BUILT_IN.keys() - {"DataError"}))
def test_a_message_is_a_sentence_as_given(name):
    assert str(classes()[name]("`x` must be 1; got 2.")) == "`x` must be 1; got 2."


def test_a_data_error_is_a_sentence_of_its_parts_also_out_of_a_worker():
    error = DataError("a/b.png", "is broken", "Mend it.")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path, again.problem, again.remedy) == (
        "`a/b.png` is broken. Mend it.", Path("a/b.png"), "is broken", "Mend it.",
    )  # fmt: skip


@pytest.mark.parametrize(("problem", "remedy"), [("", "Mend it."), ("is broken", "")])
def test_a_data_error_without_a_problem_or_a_remedy_is_our_fault(problem, remedy):
    with pytest.raises(AssertionError):
        DataError("a.png", problem, remedy)


def written_remedies():
    for path in sorted(Path(segdistill.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("DataError", "Fault"):
                yield from ((path.name, *arg) for arg in texts(node.args[1:]))


def texts(arguments):
    """Problem or remedy, and its first and last literal part."""
    for place, argument in enumerate(arguments):
        parts = getattr(argument, "values", [argument])
        first, last = (part.value if isinstance(part, ast.Constant) else None for part in (parts[0], parts[-1]))
        yield ("problem", "remedy")[place], first, last


def test_problems_go_on_in_the_sentence_and_remedies_are_sentences():
    found = list(written_remedies())
    assert len(found) > 40
    for name, what, first, last in found:
        if what == "problem":
            assert first is None or first[0].islower(), (name, first)
            assert last is None or not last.endswith("."), (name, last)
        else:
            assert first is None or first[0].isupper(), (name, first)
            assert last is None or last.endswith("."), (name, last)
