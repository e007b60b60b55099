from segdistill.reports import summarise
from segdistill.reports.findings.classes import class_label, class_labels


def test_names_and_colours_are_those_of_the_first_run_that_has_them(make_run):
    labels = {"names": ["sky", "road"], "colors": [[70, 130, 180], [0, 0, 142]]}
    rows = summarise([make_run("old", labels=None), make_run("alone", miou=0.4, labels=labels)])
    assert class_labels(rows) == [("sky", "#4682b4"), ("road", "#00008e")]
    assert class_labels(rows[:1]) == []


def test_a_class_without_a_name_has_a_number_and_a_colour_of_its_own():
    known = [class_label([], index) for index in range(40)]
    assert [label.name for label in known[:2]] == ["class 0", "class 1"]
    assert len({label.color for label in known}) == 40
