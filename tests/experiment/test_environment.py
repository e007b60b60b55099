"""What a number depends on beside the recipe."""

from importlib import metadata

import torch
from accelerate import Accelerator

from segdistill.experiment import environment as module
from segdistill.recipe import load_recipe

RECIPE = load_recipe("demo_student", ["train.precision=bf16"])


def test_a_source_tree_that_is_not_installed_has_an_environment_too(monkeypatch):
    def version(package):
        if package == "segdistill":
            raise metadata.PackageNotFoundError(package)
        return metadata.version(package)

    monkeypatch.setattr(module, "version", version)
    found = module.environment(Accelerator(cpu=True), RECIPE)
    assert "segdistill" not in found.packages
    assert found.packages["torch"] == metadata.version("torch")
    assert (found.threads, found.precision, found.channels_last) == (torch.get_num_threads(), "bf16", True)


def test_versions_are_of_what_is_installed():
    assert set(module.environment(Accelerator(cpu=True), RECIPE).packages) >= {"torch", "timm", "accelerate", "numpy"}
