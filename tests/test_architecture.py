"""Who may import whom: the plan of the house, held against every import statement of the package."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import segdistill

ROOT = Path(segdistill.__file__).parent

STANDS_ON = {
    "util": set(),
    "types": set(),
    "labels": set(),
    "ops": {"types"},
    "metrics": {"types"},
    "losses": {"ops"},
    "networks": {"types", "labels"},
    "distill": {"losses", "networks"},
    "data": {"types", "labels"},
    "store": set(),
    "recipe": set(),
    "engine": {"distill", "data", "metrics", "store"},
    "prediction": {"networks", "engine"},
    "measure": {"prediction"},
    "experiment": {"recipe", "measure"},
    "reports": {"store", "labels", "metrics"},
    "deploy": {"experiment"},
    "comparison": {"experiment", "reports"},
    "cli": {"comparison", "deploy"},
}
"""What a room stands on; it may import these and all that they may. Everybody may import `util`."""

TOP = ("__init__", "__main__")
STDLIB_ONLY = ("util", "labels")
WITHOUT_TORCH = ("util", "labels", "store", "recipe", "reports")
MOST_LINES = 300

FILES = sorted(ROOT.rglob("*.py"))


def may_import(room):
    found = {"util"} | STANDS_ON[room]
    return found.union(*map(may_import, STANDS_ON[room]))


def room_of(path):
    """A module or a package right below ours."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module_of(path):
    parts = ["segdistill", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree, module):
    """Pairs of module and name of everything imported in a file, in functions too; the name is None for ``import``."""
    parents = module.split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*parents[: len(parents) - node.level], *filter(None, [node.module])])
            yield from ((base if node.level else node.module, alias.name) for alias in node.names)


def imports_of(path):
    return set(imports(ast.parse(path.read_text(encoding="utf-8")), module_of(path)))


def ours(found):
    """Rooms among imports."""
    rooms = set()
    for module, name in found:
        parts = [*module.split("."), *([name] if name else [])]
        if parts[0] == "segdistill" and len(parts) > 1:
            rooms.add(parts[1])
    return rooms


def label(path):
    return path.relative_to(ROOT).as_posix()


def test_every_room_is_in_the_plan():
    rooms = {room_of(path) for path in FILES} - set(TOP)
    assert rooms == set(STANDS_ON)


def test_the_root_holds_rooms_and_little_else():
    files = {path.stem for path in ROOT.glob("*.py")}
    assert files == {"__init__", "__main__", "types", "labels"}


@pytest.mark.parametrize("path", FILES, ids=label)
def test_a_file_imports_only_what_its_room_stands_on(path):
    if (room := room_of(path)) in TOP:
        return  # the door: test_imports holds that it loads nothing early
    assert ours(imports_of(path)) <= may_import(room) | {room} | ({"__version__"} if room == "cli" else set())


@pytest.mark.parametrize("path", FILES, ids=label)
def test_rooms_are_entered_by_the_door(path):
    """Another room's names come from its ``__init__``; one's own from the module that has them."""
    for module, name in imports_of(path):
        parts = module.split(".")
        if parts[0] != "segdistill" or path.parent == ROOT:
            continue
        inside = len(parts) > 1 and parts[1] == room_of(path)
        assert not (len(parts) > 2 and not inside), f"{module} is inside another room"
        if inside and len(parts) == 2:
            target = ROOT / parts[1] / (name or "")
            assert target.is_dir() or target.with_suffix(".py").exists(), f"{name} comes from its own room's door"


@pytest.mark.parametrize("room", sorted(STANDS_ON))
def test_inside_a_room_imports_go_one_way(room):
    graph = {}
    for path in (ROOT / room).rglob("*.py"):
        if path.name == "__init__.py":
            continue
        needs = set()
        for module, name in imports_of(path):
            for target in (f"{module}.{name}", module):
                if target != module_of(path) and target.startswith(f"segdistill.{room}."):
                    file = ROOT.joinpath(*target.split(".")[1:]).with_suffix(".py")
                    if file.exists():
                        needs.add(target)
                        break
        graph[module_of(path)] = needs
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_nobody_imports_the_door_of_the_house():
    for path in FILES:
        if path.parent != ROOT:
            for module, name in imports_of(path):
                assert (module, name) != ("segdistill", None)
                assert module != "segdistill.__main__"
                assert not (module == "segdistill" and name != "__version__" and name not in STANDS_ON), (path, name)


def test_the_command_line_imports_us_inside_functions_alone():
    for path in (ROOT / "cli").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        found = set(imports(ast.Module(top, []), module_of(path)))
        assert {module.split(".")[0] for module, _ in found} & {"torch", "numpy", "plotly"} == set()
        assert ours(found) <= {"__version__", "cli", "util"}


@pytest.mark.parametrize("room", STDLIB_ONLY)
def test_some_rooms_need_the_standard_library_alone(room):
    for path in FILES:
        if room_of(path) == room:
            foreign = {module.split(".")[0] for module, _ in imports_of(path)} - {"segdistill", "filelock", "numpy"}
            assert foreign <= set(sys.stdlib_module_names), path


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_some_rooms_know_no_torch(room):
    for path in FILES:
        if room_of(path) == room:
            assert "torch" not in {module.split(".")[0] for module, _ in imports_of(path)}, path


def test_files_are_short():
    lines = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in FILES)
    assert lines[-1] <= MOST_LINES
    assert lines[len(lines) // 2] < 120


def test_a_room_never_bears_the_name_of_a_public_function():
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms & set(segdistill.__all__) <= {"ops"}  # a public room


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
    found = set(imports(ast.parse(source), "segdistill.data.base"))
    assert found == {
        ("segdistill.a.b", None), ("segdistill", "c"), ("segdistill.d", "e"), ("segdistill.data", "f"),
        ("segdistill", "g"), ("segdistill.h", "i"), ("segdistill.j", "k"), ("torch", None),
    }  # fmt: skip
    assert ours(found) == {"a", "c", "d", "data", "g", "h", "j"}
