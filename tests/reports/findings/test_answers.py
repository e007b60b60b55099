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
