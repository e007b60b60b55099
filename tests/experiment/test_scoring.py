"""Device and processes of a run."""

import pytest
from accelerate.state import AcceleratorState
from tests.experiment.settings import TINY

from segdistill.experiment.scoring import make_accelerator
from segdistill.recipe import load_recipe


@pytest.fixture
def forgetful():
    """accelerate keeps the first settings that a process asked for."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_the_precision_is_the_recipes_whatever_the_launcher_says(forgetful, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    accelerator = make_accelerator(load_recipe("demo_student", TINY))
    assert accelerator.mixed_precision == "no"
