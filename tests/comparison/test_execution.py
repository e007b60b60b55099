"""Comparisons that really run, small enough for a CPU in seconds."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from tests.conftest import UNASKED

from segdistill import store
from segdistill.comparison import setup as module
from segdistill.comparison.conclusion import conclude
from segdistill.comparison.execution import finish_all, forget_failures
from segdistill.comparison.planning import plan
from segdistill.comparison.setup import set_up
from segdistill.experiment.folders import recipe_of
from segdistill.util import RecipeError

NETWORK = [
    "model.name=deeplabv3_mobilenetv2_035",
    "model.options.backbone=null",
    "model.options.output_stride=16",
    "train.device=cpu",
]
DATA = ["data.options.num_images=4", "data.options.num_train=4", "data.options.size=[32,48]", "data.crop_size=[32,48]",
        "data.batch_size=2"]  # fmt: skip
TINY = [*NETWORK, *DATA, "train.iterations=4", "train.log_every=1", "train.val_every=2", "train.gallery=2",
        UNASKED, "terms.af_dcd.groups=8", "terms.af_dcd.patch_size=[1,2]"]  # fmt: skip
TEACHER = [*NETWORK, "train.iterations=2", "train.val_every=2", "train.log_every=1", "train.gallery=1"]


def quiet(run, record):
    pass


def planned(folder, methods=("kd",), seeds=(0,), overrides=(), **more):
    return plan("demo", [*TINY, *overrides], methods=methods, seeds=seeds, folder=folder,
                teacher="demo_teacher", teacher_overrides=TEACHER, **more)  # fmt: skip


def do(comparison):
    return [run.title for run in finish_all(set_up(comparison, quiet), quiet)]


def stamps(folder):
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob(store.RESULT)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    comparison = planned(folder, methods=["kd", "af_dcd"], seeds=[0, 3])
    return comparison, do(comparison), conclude(folder)


def test_every_method_runs_at_every_seed_seed_by_seed(finished):
    comparison, done, _ = finished
    assert done == [f"{method}, seed {seed}" for seed in (0, 3) for method in ("none", "kd", "af_dcd")]
    for method in ("none", "kd", "af_dcd"):
        for seed in (0, 3):
            run = comparison.folder / method / str(seed)
            assert recipe_of(run).seed == store.read_json(run / store.RESULT)["seed"] == seed


def test_all_methods_start_from_the_same_student_and_see_the_same_crops(finished):
    folder = finished[0].folder
    first = [next(iter(store.read_records(folder / method / "3" / store.METRICS))) for method in ("none", "kd")]
    assert first[0]["parts"]["task"] == first[1]["parts"]["task"]
    other = next(iter(store.read_records(folder / "none/0" / store.METRICS)))
    assert other["parts"]["task"] != first[0]["parts"]["task"]


def test_runs_leave_the_evidence_that_the_report_shows(finished):
    run = finished[0].folder / "af_dcd/0"
    result = store.read_json(run / store.RESULT)
    matrix = np.array(store.read_json(run / store.CONFUSION)["matrix"])
    assert matrix.diagonal().sum() / matrix.sum() == pytest.approx(result["score"]["pixel_accuracy"])
    assert len(store.read_json(run / store.IMAGES)["images"]) == 4
    assert {"iou", "f", "per_class_iou", "per_class_f", "rule"} == set(result["score"]["boundary"])
    assert result["images_per_s"] > 0
    assert result["peak_memory_mb"] > 50
    norms = [record["grad_norms"] for record in store.read_records(run / store.METRICS) if "grad_norms" in record]
    assert len(norms) == 4
    assert set(norms[0]) == {"task", "kd", "af_dcd.mimic", "af_dcd.contrast"}
    assert all(value > 0 for value in norms[-1].values())


def test_the_gallery_shows_the_same_images_for_all_those_where_methods_differ_most(finished):
    folder = finished[0].folder
    runs = [folder / "teacher", *(folder / method / "0" for method in ("none", "kd", "af_dcd"))]
    names = [[s["name"] for s in store.read_json(run / store.GALLERY_INDEX)["samples"]] for run in runs]
    assert names.count(names[0]) == 4
    scores = np.array([[i["miou"] for i in store.read_json(run / store.IMAGES)["images"]] for run in runs[1:]])
    order = [image["name"] for image in store.read_json(runs[1] / store.IMAGES)["images"]]
    spread = scores.max(0) - scores.min(0)
    assert sorted(spread[[order.index(name) for name in names[0]]]) == sorted(sorted(spread)[-2:])
    teacher = [np.asarray(Image.open(run / "gallery" / name)) for run, name in
               ((runs[0], "prediction_000.png"), (runs[2], "teacher_000.png"))]  # fmt: skip
    assert np.array_equal(*teacher)


def test_it_ends_with_tables_and_a_report(finished):
    comparison, _, rows = finished
    assert [row.name for row in rows if row.kind != "teacher"].count("none") == 1
    assert {row.name for row in rows} >= {"none", "kd", "af_dcd"}
    for suffix in ("md", "tex", "csv", "json"):
        assert "af" in (comparison.folder / f"table.{suffix}").read_text(encoding="utf-8")
    assert "<html" in (comparison.folder / "report.html").read_text(encoding="utf-8")
    table = json.loads((comparison.folder / "table.json").read_text(encoding="utf-8"))
    assert table


def test_again_repeats_nothing_and_more_seeds_and_methods_only_add(finished):
    comparison = finished[0]
    before = stamps(comparison.folder)
    do(comparison)
    assert stamps(comparison.folder) == before
    done = do(planned(comparison.folder, methods=["kd", "cwd"], seeds=[0]))
    after = stamps(comparison.folder)
    assert {key: after[key] for key in before} == before
    assert set(after) - set(before) == {str(comparison.folder / "cwd/0/result.json")}
    assert "cwd, seed 0" in done
    rows = store.read_json(comparison.folder / store.COMPARISON)["methods"]
    assert [row["name"] for row in rows] == ["none", "kd", "af_dcd", "cwd"]
    assert rows[1]["runs"] == ["kd/0", "kd/3"]


def test_another_recipe_or_budget_in_the_same_folder_is_refused(finished):
    folder = finished[0].folder
    message = "holds a comparison with another recipe or budget: "
    with pytest.raises(RecipeError, match=f"{message}`optim.lr` is 0.2 there and 0.01 here. Give the same again"):
        set_up(planned(folder, overrides=["optim.lr=0.01"]), quiet)
    with pytest.raises(RecipeError, match=f"{message}`--budget` is 'iterations' there and 'time' here"):
        set_up(planned(folder, budget="time"), quiet)


def test_only_methods_that_are_new_are_tried(tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(module, "refuse_silent", lambda recipe, built, device: tried.append(recipe.name))
    set_up(planned(tmp_path, methods=["kd"]), quiet)
    assert tried == ["none", "kd"]
    set_up(planned(tmp_path, methods=["kd", "cwd"], seeds=[0, 1]), quiet)
    assert tried == ["none", "kd", "cwd"]


def test_a_method_that_cannot_be_built_stops_it_before_any_student_trains(tmp_path):
    bad = planned(tmp_path, methods=["kd", "af_dcd"], overrides=["terms.af_dcd.groups=9"])
    with pytest.raises(RecipeError, match=r"method af_dcd: `terms\.af_dcd\.groups` must divide"):
        set_up(bad, quiet)
    assert not (tmp_path / "none").exists()


def test_a_diverging_method_is_written_down_and_the_others_go_on(tmp_path):
    overrides = ["terms.dist.weight=1e38", "train.iterations=3"]
    comparison = planned(tmp_path, methods=["dist", "kd"], overrides=overrides)
    do(comparison)
    assert not store.is_complete(tmp_path / "dist/0")
    assert "not finite" in store.read_json(tmp_path / "dist/0" / store.FAILED)["error"]
    assert store.is_complete(tmp_path / "kd/0")
    rows = {row.name: row for row in conclude(tmp_path)}
    assert rows["dist"].failed
    assert rows["dist"].miou is None
    assert "not finite" in (tmp_path / "report.html").read_text(encoding="utf-8")
    runs = set_up(comparison, quiet)
    assert len(list(finish_all(runs, quiet))) == 3  # not tried again
    forget_failures(runs)
    assert not (tmp_path / "dist/0" / store.FAILED).exists()


def test_a_time_budget_gives_cheap_methods_more_steps(tmp_path):
    comparison = planned(tmp_path, methods=["kd", "af_dcd"], budget="time")
    runs = set_up(comparison, quiet)
    stored = store.read_json(tmp_path / store.COMPARISON)
    speeds, seconds = stored["seconds_per_step"], stored["budget_seconds"]
    assert seconds == pytest.approx(4 * max(speeds.values()))
    for run in runs:
        name = run.folder.parent.name
        assert run.recipe.train.iterations == max(1, int(seconds / speeds[name]))
    assert [run.recipe for run in set_up(comparison, quiet)] == [run.recipe for run in runs]  # measured once
    given = set_up(planned(tmp_path / "given", budget="time", seconds=100 * seconds), quiet)
    assert min(run.recipe.train.iterations for run in given) > max(run.recipe.train.iterations for run in runs)


def test_a_method_that_diverges_at_once_does_not_stop_a_time_budget(tmp_path):
    comparison = planned(tmp_path, methods=["dist"], overrides=["terms.dist.weight=1e38"], budget="time")
    do(comparison)
    assert store.is_complete(tmp_path / "none/0")
    assert (tmp_path / "dist/0" / store.FAILED).is_file()


def command(folder, *more):
    teacher = [item for override in TEACHER for item in ("--teacher-set", override)]
    return [sys.executable, "-m", "segdistill", "compare", "demo", *TINY, "--teacher", "demo_teacher", *teacher,
            "--out", str(folder), *more]  # fmt: skip


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def test_killed_midway_the_same_command_continues_and_ends_alike(finished, tmp_path):
    arguments = ("--methods", "kd,af_dcd", "--seeds", "0,3", "--runs-only")
    process = subprocess.Popen(command(tmp_path, *arguments), env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not store.is_complete(tmp_path / "kd/0") and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = stamps(tmp_path)
    assert str(tmp_path / "kd/0/result.json") in before
    assert len(before) < 7
    done = subprocess.run(command(tmp_path, *arguments, "--jobs", "2"), env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    after = stamps(tmp_path)
    assert {key: after[key] for key in before} == before
    assert len(after) == 7
    for method in ("none", "kd", "af_dcd"):  # two workers, interrupted: the same numbers as in one go
        for seed in (0, 3):
            one, other = ((folder / method / str(seed) / store.METRICS).read_bytes()
                          for folder in (finished[0].folder, tmp_path))  # fmt: skip
            assert one == other
