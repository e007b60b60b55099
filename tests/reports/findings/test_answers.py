import pytest
from tests.store.fakes import NAMES, make_comparison

from segdistill.reports import summarise
from segdistill.reports.findings.answers import answers
from segdistill.reports.findings.ranking import main_rows


def test_the_first_answer_names_the_noise(make_run):
    def verdict(*gains):
        runs = [
            make_run(f"{len(gains)}{gains[0]}/alone-{k}", miou=0.5, seed=k, name="alone") for k in range(len(gains))
        ]
        runs += [
            make_run(f"{len(gains)}{gains[0]}/kd-{k}", "distilled", 0.5 + gain, seed=k, name="kd")
            for k, gain in enumerate(gains)
        ]
        return answers(summarise(runs))[0].verdict

    assert verdict(0.02) == "Undecided: +2.00 points"
    assert verdict(0.020, 0.021, 0.022) == "Yes: +2.10 points"
    assert verdict(-0.020, -0.021, -0.022) == "No: -2.10 points"
    assert verdict(0.05, -0.03, 0.01) == "Within noise: +1.00 points"


def test_the_other_answers(tmp_path):
    rows = summarise(make_comparison(tmp_path, seeds=2, pictures=0))
    _, cost, failures = answers(rows)
    assert cost.verdict == "1.5 × the training time"  # 46 seconds and 30
    assert "Teacher: 21.5 ms an image, 9.00 M parameters" in cost.lines
    best = rows[main_rows(rows)[-1]]
    ious = [run.result.score.per_class_iou for run in best.runs]
    lowest = min(NAMES, key=lambda name: sum(iou[name] for iou in ious))
    assert failures.verdict.startswith(f"{lowest}, ")


@pytest.mark.parametrize(
    ("alone", "distilled", "params", "told"),
    [
        (6.2, 6.2, 620_000, "; student alone 6.2 ms: distillation changes nothing here"),
        (6.2, 6.45, 620_000, "; student alone 6.2 ms: distillation changes nothing here"),
        (
            291.0,
            222.0,
            620_000,
            "; student alone 291.0 ms: both run the same network, so the difference is the machine's",
        ),
        (6.2, 9.0, 900_000, "; student alone 6.2 ms, 0.62 M parameters"),
        (None, 6.2, 620_000, ""),
    ],
)
def test_latencies_that_differ_are_not_called_the_same(make_run, alone, distilled, params, told):
    runs = [
        make_run("alone", ms_per_image=alone),
        make_run("kd", "distilled", 0.6, ms_per_image=distilled, params=params),
    ]
    cost = answers(summarise(runs))[1]
    assert f"In use: {distilled:.1f} ms an image, {params / 1e6:.2f} M parameters{told}" in cost.lines


def test_seeds_that_differ_are_noise(make_run):
    runs = [make_run(f"alone-{seed}", seed=seed, ms_per_image=6.0 + 2 * seed) for seed in range(2)]
    runs += [make_run(f"kd-{seed}", "distilled", 0.6, seed=seed, ms_per_image=6.0) for seed in range(2)]
    assert any(
        line.endswith("student alone 7.0 ms: distillation changes nothing here")
        for line in answers(summarise(runs))[1].lines
    )
