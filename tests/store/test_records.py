import json
import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from segdistill.store import (
    BestStep,
    Boundary,
    Comparison,
    Confusion,
    Environment,
    Failed,
    Gallery,
    Images,
    ImageScore,
    Labels,
    LogLine,
    MethodRecord,
    Result,
    Score,
    TeacherScore,
    TermRecord,
    TimingLine,
    Validation,
    append_record,
    read_comparison,
    read_lines,
    read_record,
    write_record,
)
from segdistill.util import RunError

RESULT = Result(
    name="demo",
    kind="distilled",
    seed=3,
    model="deeplabv3_mobilenetv2_035",
    terms={"deep": TermRecord(title="Af-DCD", loss="af_dcd", settings={"weight": {"mimic": 2e-6}, "on": "layer4"})},
    protocol="val (100 images)",
    score=Score(
        miou=1 / 3,
        pixel_accuracy=0.1 + 0.2,
        per_class_iou={"straße": 0.5, "sign": None},
        boundary=Boundary(iou=0.2, f=None, per_class_iou={"sign": None}, per_class_f={}, rule="within 3 pixels"),
    ),
    best=BestStep(step=300, val_miou=0.4),
    teacher=TeacherScore(name="big", miou=0.6),
    params=620_000,
    ms_per_image=6.214,
    iterations=300,
    seconds=63.4,
    images_per_s=12.5,
    peak_memory_mb=None,
    labels=Labels(names=["straße", "sign"], colors=[(0, 0, 142), (220, 220, 0)]),
    notes=["The contrast is switched off."],
)
RECORDS = [
    RESULT,
    Result(name="x", kind="teacher"),
    Environment(started="2026-01-01T00:00:00+01:00", device="cpu", threads=2, packages={"torch": "2.9"}),
    Images(images=[ImageScore(name="a.png", miou=0.5), ImageScore(name="b.png")]),
    Gallery(samples=[ImageScore(name="a.png", miou=None)]),
    Confusion(matrix=[[3, 1], [0, 2]]),
    Failed(error="The loss is not finite at step 7."),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_what_was_written_reads_back_equal(tmp_path, record):
    path = tmp_path / "file.json"
    write_record(path, record)
    first = path.read_bytes()
    assert read_record(type(record), path) == record
    write_record(path, read_record(type(record), path))
    assert path.read_bytes() == first


def test_a_comparison_reads_back_equal_and_keeps_its_folder_to_itself(tmp_path):
    comparison = Comparison(
        folder=tmp_path,
        format="segdistill-comparison-1",
        name="streets",
        budget="time",
        budget_seconds=75.0,
        seconds_per_step={"none": 0.1},
        methods=[MethodRecord(name="kd-1", method="kd", settings={"terms.kd.weight": "1"}, runs=["kd-1/0"])],
        recipe={"name": "streets", "data": {"scale_range": [0.5, 2.0]}},
        ms_per_image={"kd-1": 6.2},
    )
    write_record(tmp_path / "comparison.json", comparison)
    assert read_comparison(tmp_path) == comparison
    assert "folder" not in json.loads((tmp_path / "comparison.json").read_text())


def test_lines_read_back_equal_and_hold_only_what_they_were_given(tmp_path):
    lines = [
        LogLine(step=10, lr=0.02, loss=1.5, parts={"task": 1.0, "kd": 0.5}),
        LogLine(step=10, grad_norms={"task": 0.3}),
        LogLine(step=20, val=Validation(miou=1 / 3, pixel_accuracy=0.8, per_class_iou=[0.5, None])),
    ]
    path = tmp_path / "metrics.jsonl"
    for line in lines:
        append_record(path, line)
    assert read_lines(LogLine, path) == lines
    assert [list(json.loads(text)) for text in path.read_text().splitlines()] == [
        ["step", "lr", "loss", "parts"], ["step", "grad_norms"], ["step", "val"],
    ]  # fmt: skip
    timing = TimingLine(step=10, seconds=2.5)
    append_record(tmp_path / "timing.jsonl", timing)
    assert (tmp_path / "timing.jsonl").read_text() == '{"step": 10, "seconds": 2.5}\n'
    assert read_lines(TimingLine, tmp_path / "timing.jsonl") == [timing]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_are_finite(value):
    for make in (
        lambda: Score(miou=value, pixel_accuracy=0.5, per_class_iou={}),
        lambda: LogLine(step=1, parts={"kd": value}),
        lambda: TimingLine(step=1, seconds=value),
        lambda: Result(name="x", kind="student", seconds=value),
    ):
        with pytest.raises(ValidationError, match=r"finite|greater|less"):
            make()


@pytest.fixture
def old(tmp_path):
    """A ``result.json`` as version 0.1 wrote it."""
    known = {
        "name": "demo", "kind": "distilled", "seed": 0, "model": "deeplabv3_mobilenetv2_035",
        "terms": {"kd": {"loss": None, "weight": 1.0, "on": None, "teacher_on": None},
                  "deep": {"loss": "af_dcd", "weight": {"mimic": 2e-6}, "on": "layer4", "groups": 16}},
        "protocol": "streets val (100 images)",
        "score": {"miou": 0.359, "pixel_accuracy": 0.78, "per_class_iou": {"sky": 0.72, "sign": None}},
        "best": {"step": 300, "val_miou": 0.359}, "teacher": {"name": "deeplabv3_mobilenetv2", "miou": 0.49},
        "params": 659513, "iterations": 300, "seconds": 33.4,
        "labels": {"names": ["sky", "sign"], "colors": [[70, 130, 180], [220, 220, 0]]},
        "ms_per_image": 6.2, "a key of the future": {"x": 1},
    }  # fmt: skip
    path = tmp_path / "result.json"
    path.write_text(json.dumps(known))
    return path


def test_a_result_of_an_older_version_still_opens(old):
    result = read_record(Result, old)
    assert (result.params, result.score.miou, result.best.step) == (659513, 0.359, 300)
    assert {name: (term.title, term.loss) for name, term in result.terms.items()} == {
        "kd": ("", None), "deep": ("", "af_dcd"),
    }  # fmt: skip
    assert (result.notes, result.images_per_s, result.score.boundary) == ([], None, None)
    assert "a key of the future" not in result.as_json()


def test_the_published_rows_of_the_docs_can_be_results(old):
    """The demo's numbers as they stand in the docs, in the place of a run's."""
    demo = json.loads((Path(__file__).parents[2] / "docs/results/demo.json").read_text())
    for seed in demo["seeds"]:
        for part in ("teacher", "student_alone", "af_dcd"):
            numbers = seed[part]
            score = {key: numbers[key] for key in ("miou", "pixel_accuracy", "per_class_iou")}
            known = {"name": part, "kind": "student", "score": score, "seconds": numbers["seconds"]}
            old.write_text(json.dumps(known))
            assert read_record(Result, old).score.miou == numbers["miou"]


def test_a_damaged_file_is_named_by_what_it_should_be(tmp_path):
    path = tmp_path / "confusion.json"
    path.write_text('{"matrix": [[1, 2]]}')
    with pytest.raises(
        RunError, match=r"confusion\.json is not a confusion matrix: matrix: .*must hold a square matrix"
    ):
        read_record(Confusion, path)
