import pytest

from segdistill.reports.read import curve, read_runs
from segdistill.rundir import RunError


def test_reads_a_run(make_run):
    (run,) = read_runs([make_run("alone", miou=0.5)])
    assert run.result.score.miou == 0.5
    assert run.result.score.per_class_iou["sign"] is None
    assert run.recipe.startswith("name: alone")
    assert run.environment["threads"] == 2
    assert [step for step, _ in curve(run.records, "val", "miou")] == [60, 120, 180, 240, 300]


def test_a_folder_given_twice_counts_once(make_run):
    run = make_run("alone")
    assert len(read_runs([run, run / ".." / "alone"])) == 1


def test_what_is_not_there_need_not_be(make_run):
    folder = make_run("alone", score=None, protocol=None, ms_per_image=None, labels=None)
    for name in ("recipe.yaml", "environment.json", "metrics.jsonl"):
        (folder / name).unlink()
    (run,) = read_runs([folder])
    assert (run.recipe, run.environment, run.records, run.result.score) == ("", {}, [], None)


def test_no_runs():
    with pytest.raises(RunError, match="`runs` must name at least one run folder; got none"):
        read_runs([])


def test_missing_folder(tmp_path):
    with pytest.raises(RunError, match="absent is not a folder"):
        read_runs([tmp_path / "absent"])


def test_not_a_run(tmp_path):
    with pytest.raises(RunError, match=r"is not a run folder: it has neither result\.json nor recipe\.yaml"):
        read_runs([tmp_path])


def test_incomplete_run(make_run):
    run = make_run("alone")
    (run / "result.json").unlink()
    with pytest.raises(RunError, match=r"not complete: it has no result\.json.*train --resume"):
        read_runs([run])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "cat"}, "kind: .*got 'cat'"),
        ({"score": {"miou": 3, "pixel_accuracy": 0.5, "per_class_iou": {}}}, r"score\.miou: .*got '3'"),
        ({"labels": {"names": ["a"], "colors": [[0, 0, 999]]}}, r"labels\.colors\.0\.2"),
        ({"name": None}, "name: "),
    ],
)
def test_result_of_something_else(make_run, changes, message):
    with pytest.raises(RunError, match=rf"result\.json is not the result of a run: {message}"):
        read_runs([make_run("run", **changes)])


def test_result_that_is_not_json(make_run):
    run = make_run("alone")
    (run / "result.json").write_text("{")
    with pytest.raises(RunError, match=r"result\.json is not valid JSON"):
        read_runs([run])


def test_a_curve_leaves_out_what_is_no_number():
    records = [
        {"step": 1, "parts": {"task": 2.0}},
        {"step": 2, "parts": {"task": "<b>"}},
        {"step": 3, "parts": {"task": float("nan")}},
        {"step": 4, "parts": 7},
        {"parts": {"task": 1.0}},
        {"step": 6, "val": {}},
    ]
    assert curve(records, "parts", "task") == [(1, 2.0)]
