import re
from pathlib import Path

import pytest

from segdistill import store
from segdistill.store import COMPARISON_FILES, RUN_FILES, names

PAGE = (Path(__file__).parents[2] / "docs/files.md").read_text(encoding="utf-8")


def table(heading):
    """The lines of the table below a heading, as pairs of texts."""
    part = PAGE[PAGE.index(f"## {heading}") :]
    lines = re.findall(r"^\| `(.+?)` \| (.+) \|$", part.split("\n## ")[0], re.MULTILINE)
    assert lines
    return lines


@pytest.mark.parametrize(
    ("heading", "files"), [("A run folder", RUN_FILES), ("The folder of a comparison", COMPARISON_FILES)]
)
def test_the_docs_list_every_file(heading, files):
    assert table(heading) == [(file.name, file.holds) for file in files]


def test_the_docs_list_every_key():
    keys = {name: re.findall(r"`(\w+)`", text) for name, text in table("What the JSON files hold")}
    schema = {
        file.name: [key for key, field in file.record.model_fields.items() if not field.exclude]
        for file in (*RUN_FILES, *COMPARISON_FILES)
        if file.record
    }
    assert keys == schema


def test_every_name_is_in_a_list():
    listed = {file.name for file in (*RUN_FILES, *COMPARISON_FILES)}
    known = {value for key, value in vars(names).items() if key.isupper() and not key.endswith("_ARRAY")}
    folders = {store.GALLERY, store.TENSORBOARD, store.TABLE}
    assert known - folders <= listed
    assert all(any(name.startswith(folder) for name in listed) for folder in folders)


def test_every_json_file_has_a_record():
    for file in RUN_FILES:
        assert (file.record is not None) == file.name.endswith((".json", ".jsonl")), file.name
