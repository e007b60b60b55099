import pytest

from segdistill.reports import caveats, headline, make_table, summarise
from segdistill.reports.findings.row import Failure, Row
from segdistill.reports.findings.rows import make_rows
from segdistill.store.runs import read_runs


def score(miou, boundary_iou=None, boundary_f=None):
    boundary = {"iou": boundary_iou, "f": boundary_f, "rule": "within 3 pixels"}
    return {"miou": miou, "pixel_accuracy": 0.8, "per_class_iou": {}, "boundary": boundary}


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
    assert make_table([row]).lines[0][1].text == "50.00 ± 2.00"


def test_a_single_seed_has_no_deviation(make_run):
    (row,) = summarise([make_run("alone", miou=0.5)])
    assert row.miou_std is None
    assert [entry.text for entry in make_table([row]).lines[0]] == ["alone", "50.00", "300", "63", "6.2", "0.62", "1"]


def test_costs_are_means_and_memory_the_largest(make_run):
    told = (
        {"images_per_s": 10.0, "peak_memory_mb": 500.0},
        {"images_per_s": 20.0, "peak_memory_mb": 700.0, "iterations": 400},
    )
    (row,) = summarise([make_run(f"alone-{seed}", seed=seed, **more) for seed, more in enumerate(told)])
    assert (row.images_per_s, row.peak_memory_mb, row.steps, row.seconds) == (15.0, 700.0, 350, 63.0)


def test_boundaries_are_averaged_over_the_seeds_that_have_them(make_run):
    runs = [
        make_run(f"alone-{seed}", seed=seed, score=score(0.5, iou, f))
        for seed, (iou, f) in enumerate(((0.2, 0.4), (0.3, None)))
    ]
    (row,) = summarise(runs)
    assert row.boundary_iou == pytest.approx(0.25)
    assert row.boundary_f == pytest.approx(0.4)


def test_rows_of_old_runs_do_without(make_run):
    (row,) = summarise([make_run("alone")])
    assert row.boundary_iou is row.boundary_f is row.images_per_s is row.peak_memory_mb is row.vs_alone is None
    assert row.failed == ()


def test_differences_are_paired_by_seed(make_run):
    alone = [make_run(f"alone-{seed}", miou=miou, seed=seed) for seed, miou in ((0, 0.4), (1, 0.5), (2, 0.6), (9, 0.1))]
    distilled = [
        make_run(f"kd-{seed}", "distilled", miou, seed=seed) for seed, miou in ((2, 0.63), (0, 0.41), (1, 0.52))
    ]
    row = summarise([*distilled, *alone])[-1]
    assert row.vs_alone.by_seed == pytest.approx({0: 0.01, 1: 0.02, 2: 0.03})
    assert row.vs_alone.decided is False
    assert row.gain == row.vs_alone.mean == pytest.approx(0.02), "seed 9 of the student alone has no counterpart"
    assert row.alone_miou == pytest.approx(0.5)
    assert row.seeds == (0, 1, 2)


def test_runs_of_one_seed_count_as_one(make_run):
    alone = [make_run(f"alone-{k}", miou=0.5, seed=0) for k in range(3)]
    distilled = [make_run(f"kd-{k}", "distilled", 0.6 + 0.02 * k, seed=0) for k in range(2)]
    pair = summarise([*alone, *distilled])[-1].vs_alone
    assert (pair.n, pair.low) == (1, None)
    assert pair.mean == pytest.approx(0.11)


def test_differences_to_a_chosen_row(make_run):
    runs = [make_run("alone"), make_run("kd", "distilled", 0.55), make_run("cwd", "distilled", 0.58)]
    rows = {row.name: row for row in summarise(runs, against="kd")}
    assert rows["cwd"].vs_other.mean == pytest.approx(0.03)
    assert rows["kd"].vs_other is None
    assert all(row.vs_other is None for row in summarise(runs, against="nobody"))


def test_failures_join_their_row_or_make_one(make_run):
    runs = read_runs([make_run("alone"), make_run("kd", "distilled", 0.55)])
    failed = [Failure("kd", "distilled", "a"), Failure("mgd", "distilled", "b"), Failure("mgd", "distilled", "c")]
    rows = make_rows(runs, failed=failed)
    assert [(row.name, row.failed) for row in rows] == [("alone", ()), ("kd", ("a",)), ("mgd", ("b", "c"))]
    assert rows[2] == Row("mgd", "distilled", failed=("b", "c"))


def test_methods_are_named_by_their_losses(make_run):
    terms = {
        "kd": {"title": "KD", "loss": None},
        "deep": {"title": "Af-DCD", "loss": "af_dcd"},
        "untold": {"loss": "af_dcd", "weight": 1.0},  # as before there were titles
        "own": None,
        "odd": {"loss": 7},
    }
    assert summarise([make_run("x", "distilled", terms=terms)])[0].method == "KD + Af-DCD + af_dcd + own + odd"


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


def test_seeds_that_are_missing_do_not_pass_for_an_effect(make_run):
    """The student alone does better at the seeds that the method has not run; the means would say that it lost."""
    runs = [make_run(f"alone-{k}", miou=miou, seed=k, gallery=0) for k, miou in enumerate((0.40, 0.60, 0.62))]
    row = summarise([*runs, make_run("kd-0", "distilled", 0.45, seed=0, gallery=0)])[-1]
    assert row.miou < summarise(runs)[0].miou
    assert row.alone_miou == 0.40
    assert row.gain == pytest.approx(0.05)
    assert row.gap_closed == pytest.approx(0.05 / 0.30, abs=1e-6)


def test_without_a_seed_in_common_all_count(make_run):
    runs = [make_run(f"alone-{k}", miou=0.4 + 0.1 * k, seed=k, gallery=0) for k in range(2)]
    row = summarise([*runs, make_run("kd-7", "distilled", 0.5, seed=7, gallery=0)])[-1]
    assert row.vs_alone is None
    assert (row.alone_miou, row.gain) == pytest.approx((0.45, 0.05))
