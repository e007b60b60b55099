"""Who may import whom: the table of the layout, held against every import statement of the package."""

import ast
import sys
from pathlib import Path

import pytest

import segdistill

ROOT = Path(segdistill.__file__).parent

EVERYONE_MAY = {"names", "files"}  # ends of error messages, atomic writing; standard library only

MAY_IMPORT = {
    "names": set(),
    "files": set(),
    "types": set(),
    "labels": set(),
    "config": set(),
    "rundir": set(),
    "recipes": set(),
    "ops": {"types"},
    "losses": {"types", "ops"},
    "models": {"types"},
    "metrics": {"types"},
    "taps": {"types"},
    "data": {"types", "labels"},
    "terms": {"losses"},
    "folding": set(),
    "teacher": {"types", "taps", "folding"},
    "distill": {"types", "losses", "taps", "teacher", "terms"},
    "engine": {"types", "metrics", "distill", "taps", "teacher", "rundir"},
    "reports": {"rundir", "labels", "metrics"},
    "methods": {"config"},
    "analysis": {"types", "engine"},
    "artefacts": {"types", "labels", "rundir", "engine"},
}
MAY_IMPORT["build"] = set(MAY_IMPORT) - {"recipes", "reports", "artefacts", "analysis", "methods"}
MAY_IMPORT["doctor"] = MAY_IMPORT["build"] | {"build"}
MAY_IMPORT["scoring"] = MAY_IMPORT["build"] | {"build"}
MAY_IMPORT["run"] = MAY_IMPORT["doctor"] | {"doctor", "scoring", "artefacts", "analysis"}
MAY_IMPORT["profiling"] = MAY_IMPORT["run"] | {"run"}
MAY_IMPORT["compare"] = MAY_IMPORT["run"] | {"run", "reports", "methods"}

STDLIB_ONLY = ("names", "files", "labels", "rundir")

FILES = sorted(ROOT.rglob("*.py"))


def package_of(path):
    """The row of the table that a file belongs to: a module or a package right below ours."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imported_modules(tree, module):
    """Absolute names of everything imported in a file, in functions too, ``from a import b`` as ``a.b``."""
    parents = module.split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*parents[: len(parents) - node.level], *filter(None, [node.module])])
            origin = base if node.level else node.module
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def imports_of(path):
    parts = ["segdistill", *path.relative_to(ROOT).with_suffix("").parts]
    return set(imported_modules(ast.parse(path.read_text(encoding="utf-8")), ".".join(parts)))


def ours(modules):
    """Rows of the table among absolute names."""
    return {name.split(".")[1] for name in modules if name.startswith("segdistill.")}


def label(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=label)
def test_a_file_imports_only_what_its_row_allows(path):
    package = package_of(path)
    if package in ("__init__", "__main__", "cli", "display"):
        return  # the top: test_imports holds that it loads nothing early
    assert package in MAY_IMPORT, f"{path.name} is not in the table"
    allowed = MAY_IMPORT[package] | EVERYONE_MAY | {package}
    assert ours(imports_of(path)) <= allowed


@pytest.mark.parametrize("path", FILES, ids=label)
def test_nobody_imports_the_top(path):
    if package_of(path) in ("__init__", "__main__"):
        return
    for name in imports_of(path):
        assert name != "segdistill"
        assert not name.startswith(("segdistill.cli", "segdistill.__main__"))


def test_the_command_line_imports_us_inside_functions_alone():
    tree = ast.parse((ROOT / "cli.py").read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert set(imported_modules(ast.Module(top, []), "segdistill.cli")) & {"torch", "numpy", "plotly"} == set()
    assert ours(imported_modules(ast.Module(top, []), "segdistill.cli")) == {"__version__", "display"}


@pytest.mark.parametrize("package", STDLIB_ONLY)
def test_some_files_need_the_standard_library_alone(package):
    foreign = {name.split(".")[0] for name in imports_of(ROOT / f"{package}.py")} - {"segdistill"}
    assert foreign <= set(sys.stdlib_module_names)


def test_the_walk_sees_every_kind_of_import():
    source = """
import segdistill.a.b
from segdistill import c
from segdistill.d import e
from . import f
from .. import g
from ..h import i
def late():
    from segdistill.j import k
    import torch
"""
    found = set(imported_modules(ast.parse(source), "segdistill.data.base"))
    assert found == {
        "segdistill.a.b", "segdistill.c", "segdistill.d.e", "segdistill.data.f", "segdistill.g", "segdistill.h.i",
        "segdistill.j.k", "torch",
    }  # fmt: skip
    assert ours(found) == {"a", "c", "d", "data", "g", "h", "j"}


def test_the_table_has_no_row_for_what_is_gone():
    assert set(MAY_IMPORT) <= {package_of(path) for path in FILES}
