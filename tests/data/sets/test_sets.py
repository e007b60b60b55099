"""What a data set consists of: a file, a line in the table, a fake tree, tests, a row in the docs."""

import ast
import re
import sys
from pathlib import Path

import pytest
from tests.data import fakes

from segdistill import data
from segdistill.data import DATASETS, SegmentationDataset, sets
from segdistill.labels import LabelTable

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FILES = {path.stem for path in Path(sets.__file__).parent.glob("*.py")} - {"__init__"}


def test_every_file_is_in_the_table_and_the_table_in_order():
    assert set(DATASETS) == FILES
    assert list(DATASETS) == sorted(DATASETS)


@pytest.mark.parametrize("name", sorted(FILES | set(DATASETS)))
class TestEvery:
    def test_class_is_that_of_the_file_and_at_the_door(self, name):
        kind = DATASETS[name]
        assert issubclass(kind, SegmentationDataset)
        assert kind.__module__ == f"segdistill.data.sets.{name}"
        assert getattr(data, kind.__name__) is kind
        assert kind.__name__.lower() == name.replace("_", "")

    def test_class_table_is_in_the_file_and_at_the_door(self, name):
        module = sys.modules[f"segdistill.data.sets.{name}"]
        tables = {key: value for key, value in vars(module).items() if isinstance(value, LabelTable)}
        assert tables.keys() <= set(data.__all__)
        assert all(table.name in name or name in table.name for table in tables.values())

    def test_file_has_docstring_table_layout_and_class_in_that_order(self, name):
        tree = ast.parse((Path(sets.__file__).parent / f"{name}.py").read_text(encoding="utf-8"))
        assert ast.get_docstring(tree)
        places = {
            getattr(getattr(node, "target", None), "id", getattr(node, "name", "")): node.lineno for node in tree.body
        }
        tables = [line for key, line in places.items() if key.endswith("_LABELS")]
        found = [*tables, *filter(None, [places.get("_LAYOUT")]), places[DATASETS[name].__name__]]
        assert found == sorted(found)

    def test_fake_tree(self, name):
        assert callable(getattr(fakes, f"make_{name}", None)), f"tests/data/fakes.py lacks make_{name}"

    def test_tests_claim_the_contract(self, name):
        path = HERE / f"test_{name}.py"
        assert path.is_file(), f"{path} is missing"
        text = path.read_text(encoding="utf-8")
        assert re.search(r"^class Test\w+\(.*Contract", text, re.MULTILINE)
        assert f"make_{name}" in text

    def test_row_of_the_docs(self, name):
        page = (ROOT / "docs/data.md").read_text(encoding="utf-8")
        assert re.search(rf"^\| `{name}` \|", page, re.MULTILINE), f"docs/data.md lacks a row `{name}`"
