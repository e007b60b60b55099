import json

import pytest
from tests.conftest import UNASKED

from segdistill import store
from segdistill.comparison.demo import plan_demo, run_demo
from segdistill.util import RecipeError

TINY = ["data.options={num_images: 2, num_train: 2, size: [32, 48]}", "data.crop_size=[32,48]", "data.batch_size=2",
        "model.name=deeplabv3_mobilenetv2_035", "model.options.backbone=null",
        "train.iterations=2", "train.val_every=2", "train.log_every=1",
        "train.gallery=1", "train.device=cpu", UNASKED]  # fmt: skip


def test_the_demo_plans_a_teacher_then_two_students_that_differ_in_their_terms_alone(tmp_path):
    teacher, alone, distilled = (run.recipe for run in plan_demo(tmp_path))
    assert (teacher.kind, alone.kind, distilled.kind) == ("teacher", "student", "distilled")
    assert distilled.teacher.weights == str(plan_demo(tmp_path)[0].folder)
    assert set(distilled.terms) == {"kd", "af_dcd"}
    apart = {"name": True, "description": True, "teacher": True, "terms": True, "optim": {"clip_terms"}}
    assert alone.model_dump(exclude=apart) == distilled.model_dump(exclude=apart)
    assert len({run.folder for run in plan_demo(tmp_path)}) == 3


def test_overrides_reach_every_run_of_the_demo(tmp_path):
    runs = plan_demo(tmp_path, ["seed=7", "train.iterations=2"])
    assert {(run.recipe.seed, run.recipe.train.iterations) for run in runs} == {(7, 2)}


def test_the_demo_runs_once_writes_its_report_and_repeats_nothing(tmp_path):
    runs = plan_demo(tmp_path / "demo", TINY)
    report = tmp_path / "demo/report.html"
    seen = []
    run_demo(runs, report, lambda run, record: seen.append((run.title, record["step"], *record)))
    results = [json.loads((run.folder / store.RESULT).read_text()) for run in runs]
    assert [result["kind"] for result in results] == ["teacher", "student", "distilled"]
    assert results[2]["teacher"]["miou"] == results[0]["score"]["miou"]
    assert {title for title, *_ in seen} == {run.title for run in runs}
    assert ("teacher", 2, "step", "val", "seconds") in seen
    page = report.read_text(encoding="utf-8")
    for run in runs:
        assert json.loads((run.folder / store.RESULT).read_text())["iterations"] == 2
        assert run.recipe.name in page or run.recipe.model.name in page

    before = {run.folder: (run.folder / store.RESULT).stat().st_mtime_ns for run in runs}
    report.unlink()
    seen.clear()
    run_demo(runs, report, lambda *args: seen.append(args))
    assert seen == []
    assert {run.folder: (run.folder / store.RESULT).stat().st_mtime_ns for run in runs} == before
    assert report.is_file()

    (runs[2].folder / store.RESULT).unlink()  # as if killed before the end
    run_demo(runs, report, lambda *args: None)
    assert json.loads((runs[2].folder / store.RESULT).read_text())["score"] == results[2]["score"]
    assert (runs[0].folder / store.RESULT).stat().st_mtime_ns == before[runs[0].folder]

    changed = plan_demo(tmp_path / "demo", [*TINY, "seed=1"])
    with pytest.raises(RecipeError, match=r"demo/teacher holds a run with other settings, which cannot be continued"):
        run_demo(changed, report, lambda *args: None)
