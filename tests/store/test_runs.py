import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from segdistill.store import Environment, LogLine, TimingLine
from segdistill.store.runs import curve, read_runs
from segdistill.util import RunError


def test_reads_a_run(make_run):
    (run,) = read_runs([make_run("alone", miou=0.5)])
    assert run.result.score.miou == 0.5
    assert run.result.score.per_class_iou["sign"] is None
    assert run.recipe.startswith("name: alone")
    assert run.environment.threads == 2
    assert [step for step, _ in curve(run.log, lambda line: line.val and line.val.miou)] == [60, 120, 180, 240, 300]


def test_a_folder_given_twice_counts_once(make_run):
    run = make_run("alone")
    assert len(read_runs([run, run / ".." / "alone"])) == 1


def test_what_is_not_there_need_not_be(make_run):
    folder = make_run("alone", score=None, protocol=None, ms_per_image=None, labels=None)
    for name in ("recipe.yaml", "environment.json", "metrics.jsonl"):
        (folder / name).unlink()
    (run,) = read_runs([folder])
    assert (run.recipe, run.environment, run.log, run.result.score) == ("", Environment(), [], None)


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


def test_a_curve_leaves_out_what_is_no_number(make_run):
    folder = make_run("alone")
    records = [
        {"step": 1, "parts": {"task": 2.0}},
        {"step": 2, "parts": {"task": "<b>"}},
        {"step": 3, "parts": {"task": float("nan")}},
        {"step": 4, "parts": 7},
        {"parts": {"task": 1.0}},
        {"step": 6, "val": {}},
        {"step": 7, "loss": 1},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (run,) = read_runs([folder])
    assert curve(run.log, lambda line: line.parts.get("task")) == [(1, 2.0)]
    assert curve([LogLine.model_construct(step=1, loss=float("inf"))], lambda line: line.loss) == []


def write(run, name, value):
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text(value if isinstance(value, str) else json.dumps(value))


def read(folder):
    return read_runs([folder])[0]


def pixels(count=6, **changes):
    known = {
        "student.head": np.ones((count, 4), np.float16),
        "class": np.zeros(count, np.int64),
        "image": np.arange(count),
    }
    return {name: array for name, array in (known | changes).items() if array is not None}


def test_a_run_of_before_has_none_of_the_newer_files(make_run):
    run = read(make_run("alone", gallery=0))
    assert (run.confusion, run.images, run.gallery, run.analysis) == (None, [], [], {})
    assert (run.result.images_per_s, run.result.peak_memory_mb, run.result.score.boundary) == (None, None, None)


def test_the_newer_files(make_run):
    folder = make_run("alone", images_per_s=12.5, peak_memory_mb=900)
    write(folder, "confusion.json", {"matrix": [[3, 1], [0, 2]]})
    write(folder, "images.json", {"images": [{"name": "a.png", "miou": 0.5}, {"name": "b.png", "miou": None}]})
    write(folder, "gallery/gallery.json", {"samples": [{"name": "b.png", "miou": None}]})
    save_file(pixels(), folder / "analysis.safetensors")
    run = read(folder)
    assert run.confusion == [[3, 1], [0, 2]]
    assert [(image.name, image.miou) for image in run.images] == [("a.png", 0.5), ("b.png", None)]
    assert [sample.name for sample in run.gallery] == ["b.png"]
    assert run.analysis["student.head"].shape == (6, 4)
    assert run.timing[0] == TimingLine(step=10, seconds=2.0, images_per_s=40.0)
    assert (run.result.images_per_s, run.result.peak_memory_mb) == (12.5, 900)


def test_larger_files_are_read_when_asked_for(make_run):
    folder = make_run("alone")
    write(folder, "confusion.json", "{")
    run = read(folder)
    with pytest.raises(RunError, match=r"confusion\.json is not valid JSON"):
        _ = run.confusion


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("confusion.json", {"matrix": [[1, 2], [3]]}, "must hold a square matrix"),
        ("confusion.json", {"matrix": [[1]] * 2}, "must hold a square matrix"),
        ("confusion.json", {"matrix": [[-1]]}, r"is not a confusion matrix: matrix\.0\.0"),
        ("confusion.json", {"matrix": [[0.5]]}, r"is not a confusion matrix: matrix\.0\.0"),
        ("confusion.json", [], "is not a confusion matrix: the file"),
        ("images.json", {"images": [{"name": "a", "miou": 2}]}, r"images\.0\.miou"),
        ("gallery/gallery.json", {"samples": "many"}, "is not the index of a gallery: samples"),
    ],
)
def test_damaged_newer_files(make_run, name, value, message):
    folder = make_run("alone")
    write(folder, name, value)
    run = read(folder)
    with pytest.raises(RunError, match=message):
        _ = run.confusion, run.images, run.gallery


def test_boundary_scores(make_run):
    boundary = {"iou": 0.4, "f": None, "per_class_iou": {"sky": None}, "per_class_f": {"sky": 0.2}, "rule": "3 pixels"}
    score = {"miou": 0.5, "pixel_accuracy": 0.8, "per_class_iou": {"sky": 0.5}, "boundary": boundary}
    found = read(make_run("alone", score=score)).result.score.boundary
    assert (found.iou, found.f, found.per_class_f, found.rule) == (0.4, None, {"sky": 0.2}, "3 pixels")
    boundary["iou"] = 1.5
    with pytest.raises(RunError, match=r"score\.boundary\.iou"):
        read(make_run("other", score=score))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, "fast"])
@pytest.mark.parametrize("key", ["images_per_s", "peak_memory_mb", "seconds"])
def test_costs_are_numbers(make_run, key, value):
    with pytest.raises(RunError, match=f"is not the result of a run: {key}"):
        read(make_run("alone", **{key: value}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class": None}, "must hold `class` and `image`"),
        ({"image": None}, "must hold `class` and `image`"),
        ({"class": np.zeros(5, np.int64)}, "`class`|`image`|student"),
        ({"class": np.zeros((6, 1), np.int64)}, "`class` must hold an integer"),
        ({"class": np.zeros(6, np.float32)}, "`class` must hold an integer"),
        ({"student.head": np.ones((6, 4), np.int32)}, r"`student\.head` must hold features"),
        ({"student.head": np.ones(6, np.float16)}, r"`student\.head` must hold features"),
        ({"student.head": np.ones((7, 4), np.float16)}, r"`student\.head` must hold features"),
        ({"student.head": np.ones((6, 0), np.float16)}, r"`student\.head` must hold features"),
    ],
)
def test_features_of_other_shapes_or_types(make_run, changes, message):
    folder = make_run("alone")
    save_file(pixels(**changes), folder / "analysis.safetensors")
    with pytest.raises(RunError, match=message):
        _ = read(folder).analysis


@pytest.mark.parametrize("content", [b"", b"\x00" * 40, b"\xff" * 40, b"\x80\x04pickle."])
def test_a_file_that_holds_no_features(make_run, content):
    folder = make_run("alone")
    (folder / "analysis.safetensors").write_bytes(content)
    with pytest.raises(RunError, match="is not a readable safetensors file"):
        _ = read(folder).analysis


def test_too_many_pixels_are_refused(make_run):
    folder = make_run("alone")
    save_file(pixels(4097), folder / "analysis.safetensors")
    with pytest.raises(RunError, match="at most 4096 pixels"):
        _ = read(folder).analysis


def test_a_run_that_failed_says_why(make_run):
    folder = make_run("alone")
    (folder / "result.json").unlink()
    write(folder, "failed.json", {"error": "The loss is not finite at step 7."})
    with pytest.raises(RunError, match="alone is a run that failed: The loss is not finite at step 7"):
        read(folder)
