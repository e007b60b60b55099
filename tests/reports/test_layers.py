"""Numbers below figures, figures below the page: who may import whom inside the room."""

import ast
from pathlib import Path

import pytest

from segdistill import reports

ROOT = Path(reports.__file__).parent
BELOW = {
    "findings": {"findings"},
    "tables": {"findings", "tables"},
    "figures": {"findings", "figures"},
    "page": {"findings", "tables", "figures", "page"},
}


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_layer_imports_only_what_is_below(path):
    modules = {
        node.module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
    }
    own = {module.split(".")[2] for module in modules if module.startswith("segdistill.reports.")}
    assert own <= BELOW[path.parent.name]


def test_findings_know_neither_figures_nor_markup():
    for path in (ROOT / "findings").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert not any(word in source for word in ("plotly", "jinja2", "markupsafe", "html", "PIL")), path.name
