"""What loading the package costs and needs, each in a fresh process."""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import segdistill

HIDE = "import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"  # as if they were not installed


def python(code, *, blocked=()):
    done = subprocess.run(
        [sys.executable, "-c", HIDE.format(blocked=set(blocked)) + code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def beyond_torch():
    """Every module that is installed here and that torch does not bring with it."""
    needed, names = set(), ["torch"]
    while names:
        name = re.sub("[-_.]+", "-", names.pop()).lower()
        if name not in needed:
            needed.add(name)
            try:
                requirements = metadata.requires(name) or []
            except metadata.PackageNotFoundError:  # of another platform
                continue
            names += [re.match(r"[\w.-]+", line)[0] for line in requirements if "extra ==" not in line]
    return {
        module
        for module, owners in metadata.packages_distributions().items()
        if needed.isdisjoint(re.sub("[-_.]+", "-", owner).lower() for owner in owners)
    } - {"segdistill"}


def test_importing_the_package_loads_neither_torch_nor_any_other_library():
    code = "import segdistill; segdistill.__version__; dir(segdistill); print(*sys.modules)"
    loaded = {name.split(".")[0] for name in python(code).split()}
    assert loaded.isdisjoint({"torch", "numpy", "timm", "pydantic", "typer", "plotly"})


def test_every_public_name_resolves_and_is_the_one_of_its_home():
    for name in segdistill.__all__:
        assert getattr(segdistill, name) is not None, name
    assert set(segdistill.__all__) == {*segdistill._HOMES, "__version__"}
    assert dir(segdistill) == sorted(segdistill.__all__)
    namespace = {}
    exec("from segdistill import *", namespace)
    assert set(segdistill.__all__) <= set(namespace)
    assert namespace["AfDCDLoss"] is segdistill.losses.AfDCDLoss
    assert namespace["ops"].dense_contrast is segdistill.ops.dense_contrast


def test_the_contract_is_public():
    contract = {"AfDCDLoss", "ops", "Teacher", "Distiller", "Term", "create_network", "load_official", "load"}
    verbs = {
        "train",
        "compare",
        "evaluate",
        "predict",
        "check",
        "profile",
        "report",
        "prepare",
        "init",
        "import_data",
        "export",
    }
    assert contract | verbs | {"export"} <= set(segdistill.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'segdistill' has no attribute 'AfDCD'"):
        _ = segdistill.AfDCD


def test_losses_and_distiller_need_nothing_but_torch():
    code = """
import torch, segdistill as sd, segdistill.ops, segdistill.losses
loss = sd.AfDCDLoss(4, 8, groups=2, pool_size=1)
sum(loss(torch.rand(1, 4, 8, 8), torch.rand(1, 8, 8, 8))).backward()
student = torch.nn.Conv2d(3, 5, 1)
teacher = sd.Teacher(torch.nn.Conv2d(3, 5, 1))
distiller = sd.Distiller(student, [sd.Term("kd")], teacher=teacher)
images = torch.rand(1, 3, 8, 8)
distiller(images, torch.zeros(1, 8, 8, dtype=torch.long), teacher(images)).loss.backward()
print(*(float(part.weight.grad.abs().sum()) > 0 for part in (loss.align, student)))
"""
    blocked = beyond_torch()
    assert {"numpy", "timm", "pydantic", "PIL"} <= blocked
    assert python(code, blocked=blocked).split() == ["True", "True"]


def test_benchmarks_of_the_losses_need_nothing_but_torch():
    root = Path(__file__).parents[1]
    modules = {f"benchmarks.{path.stem}" for path in (root / "benchmarks").glob("*.py")}
    others = ("__init__", "cheaper", "directions", "loader", "students", "threads")
    of_networks = {f"benchmarks.{name}" for name in others}
    code = (
        f"sys.path.insert(0, {str(root)!r}); import segdistill.ops, segdistill.losses, segdistill.distill.distiller\n"
    )
    python(code + "".join(f"import {module}\n" for module in sorted(modules - of_networks)), blocked=beyond_torch())


def test_a_bare_machine_measures_everything_and_ends_with_a_file_and_a_page(tmp_path, monkeypatch):
    """Torch alone, no git, no compiler, a few tiny cases."""
    root, file = Path(__file__).parents[1], tmp_path / "cpu.json"
    words = ["benchmarks", "--small", "--device", "cpu", "--turns", "1", "--batches", "1", "2", "--out", str(file)]
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    code = f"""sys.path.insert(0, {str(root)!r}); sys.argv = {words!r}
import runpy
try: runpy.run_module("benchmarks", run_name="__main__")
except SystemExit as end: assert not end.code
"""
    python(code, blocked=beyond_torch())
    record = json.loads(file.read_text())
    assert {name: bool(one["cases"]) for name, one in record.items()} == dict.fromkeys(
        ("contrast", "loss", "step", "growth"), True
    )
    assert record["loss"]["environment"]["commit"] is None
    assert "### The whole loss" in file.with_suffix(".md").read_text()


def test_reports_load_no_network_and_no_engine():
    code = "import segdistill.reports, segdistill.cli.app; print(*(m for m in sys.modules if 'segdistill.' in m))"
    loaded = {name.split(".")[1] for name in python(code, blocked=("timm", "accelerate")).split()}
    assert "reports" in loaded
    assert loaded.isdisjoint({"models", "engine", "data", "build", "run"})
