import pytest
from tests.store.fakes import change, fail, make_comparison

from segdistill.store.comparison import first_runs, read_comparison
from segdistill.util import RunError


@pytest.fixture
def folder(tmp_path):
    make_comparison(tmp_path, methods={"none": 0.42, "kd": 0.43, "af_dcd": 0.47}, seeds=2, pictures=1)
    return tmp_path


def test_reads_the_plan(folder):
    comparison = read_comparison(folder)
    assert (comparison.folder, comparison.name, comparison.against) == (folder, "streets", "kd")
    assert (comparison.budget, comparison.budget_seconds) == ("time", 540.0)
    assert [(method.name, method.runs) for method in comparison.methods][1] == ("kd", ["1/0", "1/1"])


def test_the_first_run_of_a_row_is_the_first_that_is_complete(folder):
    fail(folder / "2" / "0")
    for seed in ("0", "1"):
        fail(folder / "1" / seed)
    runs = {"none": folder / "0/0", "af_dcd": folder / "2/1", "teacher": folder / "teacher"}
    assert first_runs(read_comparison(folder)) == runs
    change(folder, teacher=str(folder / "teacher"))
    assert "teacher" not in first_runs(read_comparison(folder))  # it is taken for one from elsewhere


@pytest.mark.parametrize("run", ["/etc", "../other/run", "kd/../../x", "..", "C:\\runs", "a\0b"])
def test_runs_outside_the_folder_are_refused(folder, run):
    change(folder, methods=[{"name": "kd", "method": "kd", "settings": {}, "runs": [run]}])
    with pytest.raises(RunError, match="a run must be a folder inside the comparison"):
        read_comparison(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "segdistill-comparison-9"}, "format: .*segdistill-comparison-1"),
        ({"methods": 3}, "methods: "),
        ({"methods": []}, "methods: "),
        ({"budget": "luck"}, "budget: "),
        ({"budget_seconds": -1}, "budget_seconds: "),
        ({"name": None}, "name: "),
    ],
)
def test_a_damaged_plan_is_refused(folder, changes, message):
    change(folder, **changes)
    with pytest.raises(RunError, match=rf"comparison\.json is not the plan of a comparison: {message}"):
        read_comparison(folder)


def test_not_a_comparison(tmp_path):
    with pytest.raises(RunError, match="is not the folder of a comparison"):
        read_comparison(tmp_path)
    (tmp_path / "comparison.json").write_text("[]")
    with pytest.raises(RunError, match="is not the plan of a comparison"):
        read_comparison(tmp_path)
