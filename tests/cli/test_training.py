import re

import pytest
from tests.cli.settings import TINY
from tests.conftest import UNASKED

import segdistill
from segdistill import store
from segdistill.util import Stopped


def test_the_demo_prints_its_table_and_writes_its_report(ok, tmp_path):
    printed = ok("demo", *TINY, UNASKED, "--out", tmp_path / "demo")
    assert (tmp_path / "demo/report.html").is_file()
    assert f"report: {tmp_path / 'demo/report.html'}" in printed
    for name in ("teacher", "demo_student", "demo"):
        assert (tmp_path / "demo" / name / store.RESULT).is_file()


def test_progress_goes_to_stderr_so_that_output_can_be_piped(segdistill_, tmp_path):
    code, out, err = segdistill_("train", "demo_student", *TINY, "--out", tmp_path / "run")
    assert code == 0
    assert "demo_student: step 2/2" in err
    assert "val mIoU" in err
    assert "step 2/2" not in out


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "student"
    segdistill.train("demo_student", overrides=TINY, out=folder)
    return folder


def test_a_complete_run_says_so_and_where_its_result_is(ok, run):
    printed = ok("train", "--resume", run)
    assert printed.startswith(f"{run} is complete, so nothing was trained. Its result: {run / store.RESULT}\n")
    assert "mIoU" in printed


@pytest.mark.parametrize("more", [["seed=3"], ["demo_student", *TINY, "seed=3"]])
def test_a_resume_with_other_settings_names_the_key_and_both_values(segdistill_, run, more):
    code, _, err = segdistill_("train", "--resume", run, *more)
    assert code == 2
    assert f"{run} holds a run with other settings, which cannot be continued with these: " in err
    assert "`seed` is 0 there and 3 here. Continue it as it is (segdistill train --resume" in err


def test_the_default_folder_is_never_inside_a_run(ok, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ok("train", "demo_student", *TINY, "--out", "runs/demo_student")
    printed = ok("train", "demo_student", *TINY)
    assert re.search(r"^run: runs/demo_student-\d{8}-\d{6}$", printed, re.MULTILINE)
    assert re.search(r"^run: runs/other/\d{8}-\d{6}$", ok("train", "demo_student", *TINY, "name=other"), re.MULTILINE)


def test_what_was_typed_stands_in_the_run_and_the_call_where_it_was_python(ok, run, tmp_path):
    assert store.read_json(run / store.ENVIRONMENT)["command"].startswith("sd.train('demo_student', overrides=[")
    ok("train", "demo_student", *TINY, "--out", tmp_path / "run")
    typed = store.read_json(tmp_path / "run" / store.ENVIRONMENT)["command"]
    assert typed.startswith("segdistill train demo_student 'data.options={num_images: 3")


def test_a_comparison_says_first_how_many_trainings_it_takes(segdistill_, tmp_path, monkeypatch):
    def stop(*_):
        raise Stopped(0, 2)

    monkeypatch.setattr("segdistill.comparison.comparing.set_up", stop)
    arguments = ["compare", "demo", "--methods", "kd,af_dcd", "--vary", "terms.af_dcd.groups=4,8", "--out", tmp_path]
    _, out, _ = segdistill_(*arguments, "--teacher", "demo_teacher")
    assert out.splitlines() == ["12 trainings: 4 rows x 3 seeds; before them one of the teacher."]
    for done in ("none/0", "kd/1"):
        store.write_json(tmp_path / done / store.RESULT, {})
    _, out, _ = segdistill_(*arguments, "teacher.weights=runs/t")
    assert out.splitlines() == ["12 trainings: 4 rows x 3 seeds, 2 of them over already."]
