import re

import pytest
from tests.experiment.settings import TINY

from segdistill import store
from segdistill.engine import Stopped
from segdistill.experiment import training as module
from segdistill.experiment.folders import new_folder, recipe_of, refuse_other, refuse_used
from segdistill.experiment.training import run_recipe
from segdistill.recipe import dump_recipe, load_recipe
from segdistill.util import RecipeError, RunError, WeightsError

RECIPE = load_recipe("demo_student", TINY)


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_the_recipe_is_written_before_anything_else(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "build", lambda *_: seen.append(tree(tmp_path)) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_recipe(RECIPE, tmp_path / "run")
    assert seen == [["run", "run/events.log", "run/recipe.yaml"]]


@pytest.mark.parametrize("error", [WeightsError("wrong"), KeyboardInterrupt()])
def test_a_start_that_fails_takes_back_what_it_wrote_and_nothing_else(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(module, "refuse_faults", fail)
    with pytest.raises(type(error)):
        run_recipe(RECIPE, tmp_path / "runs/a/b")
    assert tree(tmp_path) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(type(error)):
        run_recipe(RECIPE, tmp_path / "mine")
    assert tree(tmp_path) == ["mine", "mine/notes.txt"]


def test_from_the_first_step_on_the_folder_stays(tmp_path):
    def stop(_):
        raise Stopped(1, 2)

    with pytest.raises(Stopped):
        run_recipe(RECIPE, tmp_path / "run", on_log=stop)
    assert {"run/recipe.yaml", "run/environment.json", "run/events.log"} <= set(tree(tmp_path))


def test_a_new_folder_is_never_inside_a_run(tmp_path):
    recipe = load_recipe("demo_student")
    assert re.fullmatch(r"demo_student/\d{8}-\d{6}", new_folder(recipe, tmp_path).relative_to(tmp_path).as_posix())
    for file in (store.EVENTS, store.RECIPE, store.RESULT):
        place = tmp_path / file
        (place / "demo_student").mkdir(parents=True)
        (place / "demo_student" / file).touch()
        assert re.fullmatch(r"demo_student-\d{8}-\d{6}", new_folder(recipe, place).relative_to(place).as_posix())


def test_what_is_in_the_way_is_said(tmp_path):
    refuse_used(tmp_path)
    refuse_used(tmp_path / "none")
    (tmp_path / store.EVENTS).touch()
    refuse_used(tmp_path)
    (tmp_path / store.RECIPE).write_text(dump_recipe(RECIPE))
    with pytest.raises(RecipeError, match=r"holds a run\. Continue it with --resume"):
        refuse_used(tmp_path)
    with pytest.raises(RecipeError, match=r"is a file\. Choose another"):
        refuse_used(tmp_path / store.RECIPE)
    assert recipe_of(tmp_path) == RECIPE
    refuse_other(tmp_path, RECIPE, "Do")
    other = load_recipe(RECIPE, ["seed=2", "optim.lr=0.5"])
    with pytest.raises(
        RecipeError, match=r"`seed` is 0 there and 2 here; `optim\.lr` is 0\.2 there and 0\.5 here\. Do, or"
    ):
        refuse_other(tmp_path, other, "Do")
    with pytest.raises(RunError, match=f"does not exist. Nearest names: {tmp_path.name}"):
        recipe_of(tmp_path.with_name(f"{tmp_path.name}x"))
