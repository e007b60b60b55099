import json
import os

import pytest

from segdistill import store
from segdistill.store import LogLine, Validation
from segdistill.util import RunError, files


def test_text_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "deep/er/recipe.yaml"
    store.write_text(path, "one\n")
    store.write_text(path, "zwölf\n")
    assert path.read_bytes() == "zwölf\n".encode()
    assert os.listdir(path.parent) == ["recipe.yaml"]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_crash_while_writing_leaves_the_old_text(tmp_path, monkeypatch, moment):
    path = tmp_path / "result.json"
    store.write_json(path, {"step": 1})

    def crash(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, moment, crash)
        with pytest.raises(OSError, match="disk full"):
            store.write_json(path, {"step": 2})
    assert os.listdir(tmp_path) == ["result.json"]
    assert store.read_json(path) == {"step": 1}
    store.write_json(path, {"step": 2})
    assert store.read_json(path) == {"step": 2}


def test_json_goes_there_and_back(tmp_path):
    value = {"miou": 0.1 + 0.2, "names": ["straße", "[x]"], "none": None, "deep": {"a": [1, 2.5]}}
    store.write_json(tmp_path / "x.json", value)
    assert store.read_json(tmp_path / "x.json") == value


def test_nan_is_refused_and_the_old_file_kept(tmp_path):
    store.write_json(tmp_path / "x.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write_json(tmp_path / "x.json", {"miou": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.append_record(tmp_path / "x.jsonl", LogLine.model_construct(step=1, loss=float("inf")))
    assert store.read_json(tmp_path / "x.json") == 1
    assert list(store.read_records(tmp_path / "x.jsonl")) == []


def test_a_missing_and_a_broken_json_file_are_named(tmp_path):
    with pytest.raises(RunError, match=r"result\.json does not exist: .* is not a complete run folder"):
        store.read_json(tmp_path / "result.json")
    (tmp_path / "result.json").write_text('{"step": ')
    with pytest.raises(RunError, match=r"result\.json is not valid JSON"):
        store.read_json(tmp_path / "result.json")
    (tmp_path / "result.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(RunError, match=r"result\.json is not valid JSON"):
        store.read_json(tmp_path / "result.json")


def test_records_are_lines_and_a_line_cut_short_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    records = [{"step": 10, "loss": 1.5}, {"step": 20, "val": {"miou": 0.3}}]
    for record in records:
        store.append_record(path, LogLine.model_validate(record))
    assert [json.loads(line) for line in path.read_text().splitlines()] == records
    with path.open("a") as file:
        file.write('{"step": 30, "lo')
    assert list(store.read_records(path)) == records
    path.write_text("7\n[]\n" + path.read_text())
    assert list(store.read_records(path)) == records
    assert store.read_lines(LogLine, path) == [LogLine.model_validate(record) for record in records]
    assert list(store.read_records(tmp_path / "none.jsonl")) == []


def test_records_after_a_step_are_dropped_and_the_rest_keeps_its_bytes(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (10, 20, 30):
        store.append_record(path, LogLine(step=step, loss=1 / step))
        if step == 20:
            store.append_record(path, LogLine(step=20, val=Validation(miou=1 / 3)))
            kept = path.read_bytes()
    with path.open("a") as file:
        file.write('{"step": 40, "lo')
    store.drop_records_after(path, 20)
    assert path.read_bytes() == kept
    store.drop_records_after(path, 0)
    assert path.read_bytes() == b""
    store.drop_records_after(tmp_path / "none.jsonl", 0)
    assert not (tmp_path / "none.jsonl").exists()


def test_a_run_is_complete_with_its_result(tmp_path):
    assert not store.is_complete(tmp_path)
    store.write_json(tmp_path / store.RESULT, {})
    assert store.is_complete(tmp_path)


def test_lines_of_another_kind_are_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"loss": 1}\n{"step": -1}\n{"step": 3, "parts": {"task": "<b>"}}\n{"step": 4, "later": 1}\n')
    assert store.read_lines(LogLine, path) == [LogLine(step=4)]
    assert store.read_lines(LogLine, tmp_path / "none.jsonl") == []
