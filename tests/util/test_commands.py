from pathlib import Path

import pytest

from segdistill.recipe import load_recipe
from segdistill.util import command, said, verb


@verb
def work(recipe, student=None, *, out=None, overrides=(), on_log=None):
    return command()


def test_a_call_is_put_in_words():
    assert work("demo", out=Path("runs/a"), overrides=["seed=1"], on_log=print) == (
        "sd.work('demo', out='runs/a', overrides=['seed=1'])"
    )
    assert work(load_recipe("demo_student"), object()) == "sd.work(<Recipe demo_student>, student=<object>)"
    assert command() == ""


def test_the_outermost_call_counts():
    with said("segdistill train demo"):
        assert work("demo") == "segdistill train demo"
    outer = verb(lambda: work("demo"))
    assert outer() == "sd.<lambda>()"


def test_wrong_arguments_stay_the_calls_own_error():
    with pytest.raises(TypeError, match="nonsense"):
        work("demo", nonsense=1)
