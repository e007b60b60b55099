"""How many threads a run takes: by the work a layer, by the recipe, by the user, by the run that goes on."""

import pytest
import torch
from tests.experiment.settings import TINY

import segdistill as sd
from segdistill import store
from segdistill.experiment import threads
from segdistill.experiment.session import build
from segdistill.experiment.threads import CORES, chosen_threads, work_per_layer
from segdistill.recipe.load import load_recipe
from segdistill.store import Environment

CPU = torch.device("cpu")


@pytest.fixture
def eight(monkeypatch):
    """A machine of eight cores whose user has set nothing."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", CORES):
        monkeypatch.delenv(name, raising=False)
    now = [8]
    monkeypatch.setattr(torch, "get_num_threads", lambda: now[-1])
    monkeypatch.setattr(torch, "set_num_threads", now.append)
    return now


def used(recipe, earlier=None, built=None, device=CPU):
    with chosen_threads(recipe, built, device, earlier):
        return torch.get_num_threads()


def recipe(*overrides):
    return load_recipe("demo_student", [*TINY, "train.threads=null", *overrides])


@pytest.mark.parametrize(("work", "expected"), [(0.0, 1), (0.5, 1), (1.9, 1), (2.0, 2), (5.5, 5), (1000.0, 8)])
def test_a_thread_more_for_so_much_work(eight, monkeypatch, work, expected):
    monkeypatch.setattr(threads, "work_per_layer", lambda *_: work * threads.WORK_PER_THREAD)
    assert used(recipe()) == expected
    assert eight[-1] == 8  # as before


def test_the_recipe_and_the_run_that_goes_on_decide_before_the_rule(eight, monkeypatch):
    monkeypatch.setattr(threads, "work_per_layer", lambda *_: 1e12)
    assert used(recipe("train.threads=3")) == 3
    assert used(recipe(), earlier=2) == 2
    assert used(recipe("train.threads=3"), earlier=2) == 3
    assert used(recipe("train.threads=99")) == 8


def test_what_the_user_has_set_stays(eight, monkeypatch):
    monkeypatch.setattr(threads, "work_per_layer", lambda *_: 0.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert used(recipe("train.threads=3")) == 8
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert used(recipe(), device=torch.device("cuda")) == 8


def test_runs_that_share_a_machine_share_its_cores(eight, monkeypatch):
    monkeypatch.setattr(threads, "work_per_layer", lambda *_: 1e12)
    monkeypatch.setenv(CORES, "4")
    assert used(recipe()) == 4


def test_work_grows_with_the_crop_and_the_batch_and_leaves_the_networks_as_they_are():
    small, images, crops = (
        (chosen := recipe(*more), build(chosen)) for more in ((), ("data.batch_size=4",), ("data.crop_size=[64,96]",))
    )
    before = {name: value.clone() for name, value in small[1].distiller.state_dict().items()}
    state = torch.get_rng_state()
    work = work_per_layer(*small)
    assert work > 1e4
    assert work_per_layer(*images) == pytest.approx(2 * work)
    assert work_per_layer(*crops) == pytest.approx(4 * work, rel=0.1)
    assert small[1].distiller.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in small[1].distiller.state_dict().items())


def test_a_run_writes_down_its_threads_and_gives_the_process_its_own_back(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    trained = sd.train("demo_student", overrides=[*TINY, "train.threads=1"], out=tmp_path / "run")
    assert store.read_record(Environment, trained.folder / store.ENVIRONMENT).threads == 1
    assert torch.get_num_threads() == before
