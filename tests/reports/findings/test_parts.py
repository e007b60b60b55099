import json

import pytest

from segdistill.reports import caveats, summarise
from segdistill.reports.findings.parts import part_curves, silence, silent_parts


@pytest.fixture
def half_dead(make_run):
    """Two seeds of a distillation one of whose terms is 0 throughout, one of which is 0 at times."""

    def make(name="kd", seeds=2):
        runs = [make_run(f"{name}-{seed}", "distilled", 0.55, seed=seed, gallery=0) for seed in range(seeds)]
        for seed, run in enumerate(runs):
            lines = [
                {"step": step, "parts": {"task": 1.0, "af_dcd.contrast": 0.0, "late": float(step > 10 and seed > 0)}}
                for step in (10, 20)
            ]
            lines.append({"step": 20, "grad_norms": {"task": 1.0, "af_dcd.contrast": 0.0, "late": 0.0}})
            (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return runs

    return make


def test_the_curve_of_every_seed(half_dead):
    (row,) = summarise(half_dead())
    assert part_curves(row)["late"] == [[(10, 0.0), (20, 0.0)], [(10, 0.0), (20, 1.0)]]


def test_a_part_is_silent_if_it_is_0_in_every_line_of_every_run(half_dead):
    (row,) = summarise(half_dead())
    assert silent_parts(row) == ["af_dcd.contrast"]
    assert silent_parts(row, "grad_norms") == ["af_dcd.contrast", "late"]


def test_silence_is_told_in_words(half_dead, make_run):
    rows = summarise([*half_dead(), make_run("cwd", "distilled", 0.5, gallery=0)])
    assert silence([row for row in rows if row.name == "kd"]) == ["af_dcd.contrast is 0 throughout."]
    assert silence(rows) == ["kd: af_dcd.contrast is 0 throughout."]
    assert silence(rows, "grad_norms") == ["kd: af_dcd.contrast and late are 0 throughout."]
    assert "kd: af_dcd.contrast is 0 throughout." in caveats(rows)


def test_a_living_run_is_not_mentioned(make_run):
    assert silence(summarise([make_run("kd", "distilled", 0.5, gallery=0)])) == []
