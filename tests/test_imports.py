"""What loading the package costs and needs, each in a fresh process."""

import subprocess
import sys

import pytest

import segdistill

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
"""


def python(code, *, blocked=()):
    done = subprocess.run(
        [sys.executable, "-c", BLOCK.format(blocked=set(blocked)) + code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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
    contract = {"AfDCDLoss", "ops", "Teacher", "Distiller", "Term", "create_model", "load_official", "load"}
    assert contract <= set(segdistill.__all__)


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
    blocked = ("torchvision", "timm", "accelerate", "pydantic", "plotly", "omegaconf", "typer", "PIL", "torchmetrics")
    assert python(code, blocked=blocked).split() == ["True", "True"]


def test_reports_load_no_network_and_no_engine():
    code = "import segdistill.reports, segdistill.cli; print(*(m for m in sys.modules if 'segdistill.' in m))"
    loaded = {name.split(".")[1] for name in python(code, blocked=("timm", "accelerate")).split()}
    assert "reports" in loaded
    assert loaded.isdisjoint({"models", "engine", "data", "build", "run"})
