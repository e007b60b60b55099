import pytest

from segdistill.reports import summarise, table_cells, to_markdown
from segdistill.reports.table import caveats, headline


def test_three_runs_become_three_rows_in_order(three_runs):
    rows = summarise(three_runs[::-1])
    assert [row.kind for row in rows] == ["teacher", "student", "distilled"]
    assert rows[2].method == "KD + Af-DCD"
    assert rows[2].gap_closed == pytest.approx(0.4)
    assert rows[2].gain == pytest.approx(0.08)
    assert rows[0].gap_closed is rows[1].gap_closed is None


def test_seeds_are_averaged(make_run):
    alone = [make_run(f"alone-{seed}", miou=miou, seed=seed) for seed, miou in enumerate((0.48, 0.50, 0.52))]
    (row,) = summarise(alone)
    assert len(row.runs) == 3
    assert row.miou == pytest.approx(0.5)
    assert row.miou_std == pytest.approx(0.02)
    assert table_cells([row])[1][0][2] == "50.00 ± 2.00"


def test_a_single_seed_has_no_deviation(make_run):
    (row,) = summarise([make_run("alone", miou=0.5)])
    assert row.miou_std is None
    assert table_cells([row])[1][0] == ["alone", "student alone", "50.00", "-", "0.62", "6.2", "1", "63 s"]


def test_only_the_same_network_and_protocol_is_compared(make_run):
    runs = [
        make_run("wide", miou=0.3, model="deeplabv3_resnet18"),
        make_run("elsewhere", miou=0.3, protocol="camvid test"),
        make_run("distilled", "distilled", 0.58),
    ]
    rows = summarise(runs)
    assert rows[-1].alone_miou is None
    assert rows[-1].gap_closed is None
    assert headline(rows) == "Of 3 rows, distilled scores best: 58.00 mIoU."
    assert "different protocols" in caveats(rows)[0]


def test_of_several_students_alone_the_best_is_the_rival(make_run):
    runs = [make_run("a", miou=0.5), make_run("b", miou=0.55), make_run("c", "distilled", 0.6)]
    assert summarise(runs)[-1].alone_miou == 0.55


def test_the_teacher_that_taught_counts_and_else_the_only_one_listed(make_run):
    alone, teacher = make_run("alone", miou=0.5), make_run("teacher", "teacher", 0.9)
    taught = make_run("distilled", "distilled", 0.6)
    untold = make_run("untold", "distilled", 0.6, teacher=None)
    closed = {row.name: row.gap_closed for row in summarise([alone, teacher, taught, untold])}
    assert closed["distilled"] == pytest.approx(0.5)
    assert closed["untold"] == pytest.approx(0.25)


def test_headline_of_a_gain(three_runs):
    rows = summarise(three_runs)
    assert headline(rows) == (
        "KD + Af-DCD lifts the student from 50.00 to 58.00 mIoU, closing 40 % of the gap to the teacher's 70.00."
    )
    assert caveats(rows) == ["One seed: a small difference may be chance. Run more seeds before you rely on it."]


def test_headline_of_a_loss_is_honest(make_run):
    rows = summarise([make_run("alone", miou=0.5), make_run("distilled", "distilled", 0.46)])
    assert headline(rows) == "KD + Af-DCD did not help: the student scores 46.00 mIoU with it and 50.00 without."
    assert rows[1].gap_closed == pytest.approx(-0.2)


def test_headline_with_a_teacher_that_is_behind(make_run):
    teacher = {"name": "t", "miou": 0.4}
    rows = summarise([make_run("alone", miou=0.5), make_run("distilled", "distilled", 0.55, teacher=teacher)])
    assert rows[1].gap_closed is None
    assert headline(rows).endswith("to 55.00 mIoU; its teacher's 40.00 is not ahead of the student alone.")


def test_headline_without_a_comparison(make_run):
    assert headline(summarise([make_run("teacher", "teacher", 0.7)])) == "teacher reaches 70.00 mIoU."
    assert headline(summarise([make_run("b", score=None)])).startswith("No run was scored")


def test_a_difference_within_the_spread_is_named(make_run):
    runs = [make_run(f"alone-{k}", miou=0.5 + 0.03 * k, seed=k) for k in range(2)]
    runs += [make_run(f"distilled-{k}", "distilled", 0.505 + 0.03 * k, seed=k) for k in range(2)]
    assert caveats(summarise(runs)) == ["The difference is smaller than the spread between seeds."]


def test_unequal_budgets_are_named(make_run):
    rows = summarise([make_run("alone"), make_run("distilled", "distilled", 0.9, iterations=900)])
    assert "different numbers of steps" in caveats(rows)[-1]


def test_markdown(make_run, three_runs):
    text = to_markdown(summarise(three_runs))
    assert "| distilled | distilled | 58.00 | 40.0 | 0.62 | 6.2 | 1 | 63 s |" in text
    assert text.endswith("Protocol: streets val, 100 images, 9 classes, whole image, single scale\n")
    lines = text.splitlines()[:5]
    assert {line.count("|") for line in lines} == {9}


def test_names_cannot_break_out_of_markdown(make_run):
    run = make_run("evil", name="a|b\n<script>*x*")
    first = to_markdown(summarise([run])).splitlines()[2]
    assert first.startswith(r"| a\|b \<script\>\*x\* |")
