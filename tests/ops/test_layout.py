"""A folder an op: what defines it stands alone."""

import ast
from pathlib import Path

import pytest

from segdistill.ops import checks

ROOT = Path(checks.__file__).parent
OPS = [path for path in ROOT.iterdir() if (path / "__init__.py").exists()]


def imported(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]


@pytest.mark.parametrize("op", OPS, ids=lambda path: path.name)
def test_an_op_has_a_door_and_a_definition_that_the_door_alone_imports(op):
    assert {"api.py", "reference.py"} <= {path.name for path in op.iterdir()}
    for path in op.rglob("*.py"):
        if path.name != "api.py":
            assert not any(str(node.module).endswith(".reference") for node in imported(path)), path
    for node in imported(op / "reference.py"):
        assert not set(str(node.module).split(".")) & {"cpu", "triton", "fused", "folded"}


@pytest.mark.parametrize("path", list(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_private_names_stay_in_their_file(path):
    names = [alias.name for node in imported(path) for alias in node.names]
    assert not [name for name in names if name.startswith("_")]
