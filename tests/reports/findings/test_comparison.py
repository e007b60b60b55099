import pytest
from tests.store.fakes import change, fail, make_comparison

from segdistill.reports import caveats, headline, rows_of
from segdistill.store import read_comparison
from segdistill.util import RunError


@pytest.fixture
def folder(tmp_path):
    make_comparison(tmp_path, methods={"none": 0.42, "kd": 0.43, "af_dcd": 0.47}, seeds=2, pictures=1)
    return tmp_path


def test_rows_have_all_methods_and_the_teacher(folder):
    rows = rows_of(read_comparison(folder))
    assert [(row.name, row.kind, row.seeds) for row in rows] == [
        ("teacher", "teacher", (0,)),
        ("none", "student", (0, 1)),
        ("af_dcd", "distilled", (0, 1)),
        ("kd", "distilled", (0, 1)),
    ]
    best, kd = rows[2:]
    assert best.vs_alone.n == best.vs_other.n == 2
    assert best.vs_other.mean == pytest.approx(best.miou - kd.miou)
    assert best.against == "kd"
    assert kd.vs_other is kd.against is None


def test_differences_to_the_student_alone_are_not_told_twice(folder):
    change(folder, against="none")
    assert all(row.vs_other is None and row.against is None for row in rows_of(read_comparison(folder)))


def test_a_teacher_from_elsewhere_is_shown_if_it_is_a_teachers_run(folder, tmp_path):
    elsewhere = (folder / "teacher").rename(tmp_path.parent / f"{tmp_path.name}-teacher")
    change(folder, teacher=str(elsewhere))
    assert rows_of(read_comparison(folder))[0].kind == "teacher"
    change(folder, teacher=str(folder / "0" / "0"))
    assert [row.name for row in rows_of(read_comparison(folder))] == ["none", "af_dcd", "kd"]
    assert len(rows_of(read_comparison(folder))[0].runs) == 2
    change(folder, teacher="weights/gone")
    assert rows_of(read_comparison(folder))[0].kind == "student"


def test_a_teacher_of_the_working_folder_is_not_taken_for_the_comparisons(folder, tmp_path_factory, monkeypatch):
    (folder / "teacher").rename(folder.parent / f"{folder.name}-kept")
    work = tmp_path_factory.mktemp("work")
    (folder.parent / f"{folder.name}-kept").rename(work / "teacher")
    monkeypatch.chdir(work)
    assert rows_of(read_comparison(folder))[0].kind == "student"


def test_failed_runs_are_told_and_in_no_mean(folder):
    before = {row.name: row for row in rows_of(read_comparison(folder))}
    fail(folder / "2" / "1")
    rows = {row.name: row for row in rows_of(read_comparison(folder))}
    assert rows["af_dcd"].failed == ("The loss is not finite at step 40.",)
    assert rows["af_dcd"].seeds == (0,)
    assert rows["af_dcd"].miou == before["af_dcd"].runs[0].result.score.miou
    assert rows["af_dcd"].vs_alone.n == 1
    assert rows["kd"].vs_alone == before["kd"].vs_alone


def test_a_method_that_never_ended_has_a_row_without_scores(folder):
    for seed in ("0", "1"):
        fail(folder / "2" / seed, f"Out of memory, seed {seed}.")
    rows = rows_of(read_comparison(folder))
    lost = rows[-1]
    assert (lost.name, lost.kind, lost.miou, lost.runs) == ("af_dcd", "distilled", None, ())
    assert lost.failed == ("Out of memory, seed 0.", "Out of memory, seed 1.")
    assert "af_dcd: 2 of 2 runs failed: Out of memory, seed 0." in caveats(rows)
    assert "KD scores" in headline(rows) or "KD lifts" in headline(rows)


def test_a_student_alone_that_failed_leaves_nothing_to_compare_with(folder):
    for seed in ("0", "1"):
        fail(folder / "0" / seed)
    rows = rows_of(read_comparison(folder))
    assert {row.vs_alone for row in rows} == {None}
    assert next(row for row in rows if row.name == "none").kind == "student"
    assert headline(rows).startswith("Of 3 rows, teacher scores best")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"error": 7}', '{"error": " "}', "null"])
def test_a_failure_without_words_is_a_failure(folder, text):
    fail(folder / "2" / "1")
    (folder / "2" / "1" / "failed.json").write_text(text)
    rows = {row.name: row for row in rows_of(read_comparison(folder))}
    assert len(rows["af_dcd"].failed) == 1


def test_a_result_outdoes_an_old_failure(folder):
    (folder / "2" / "1" / "failed.json").write_text('{"error": "first try"}')
    assert not any(row.failed for row in rows_of(read_comparison(folder)))


def test_runs_that_are_under_way_are_left_out(folder):
    (folder / "2" / "1" / "result.json").unlink()
    rows = rows_of(read_comparison(folder))
    assert next(row for row in rows if row.name == "af_dcd").seeds == (0,)
    assert any("Not all rows have the same seeds" in note for note in caveats(rows))


def test_nothing_done_yet(folder):
    for result in folder.rglob("result.json"):
        result.unlink()
    with pytest.raises(RunError, match="no run of this comparison is complete"):
        rows_of(read_comparison(folder))
