from segdistill.reports import summarise
from segdistill.reports.findings.ranking import main_rows


def test_the_student_alone_is_the_one_with_the_network_of_the_best_row(make_run):
    runs = [
        make_run("alone", miou=0.5),
        make_run("larger", miou=0.52, model="larger"),
        make_run("kd", "distilled", 0.6),
    ]
    rows = summarise(runs)
    assert [rows[index].name for index in main_rows(rows)] == ["alone", "kd"]
