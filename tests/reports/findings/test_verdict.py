import pytest

from segdistill.reports import caveats, headline, summarise

TAUGHT = {"name": "t", "miou": 0.7}


@pytest.fixture
def seeds(make_run):
    """Rows of methods from their scores by seed."""

    def make(**methods):
        runs = [
            make_run(f"{name}-{seed}", "student" if name == "alone" else "distilled", miou, seed=seed, gallery=0)
            for name, scores in methods.items()
            for seed, miou in enumerate(scores)
        ]
        return summarise(runs)

    return make


def test_a_gain_beyond_noise(seeds):
    rows = seeds(alone=[0.50, 0.51, 0.52], kd=[0.58, 0.595, 0.60])
    assert headline(rows) == (
        "KD + Af-DCD lifts the student from 51.00 to 59.17 mIoU (+8.17 points, 95 % interval +7.45 to +8.88 over 3 "
        "seeds), closing 43 % of the gap to the teacher's 70.00."
    )
    assert caveats(rows) == ["Intervals cover the spread between seeds, not other images, data sets or settings."]


def test_a_loss_beyond_noise(seeds):
    rows = seeds(alone=[0.50, 0.51, 0.52], kd=[0.46, 0.471, 0.48])
    assert headline(rows) == (
        "KD + Af-DCD did not help: the student scores 47.03 mIoU with it and 51.00 without (-3.97 points, 95 % "
        "interval -4.11 to -3.82 over 3 seeds)."
    )
    assert rows[1].gap_closed < 0


def test_a_difference_within_noise_is_no_gain(seeds):
    rows = seeds(alone=[0.50, 0.51, 0.52], kd=[0.54, 0.50, 0.53])
    assert headline(rows) == (
        "Within noise: KD + Af-DCD scores 52.33 mIoU and the student alone 51.00 (+1.33 points, 95 % interval -4.92 "
        "to +7.58 over 3 seeds)."
    )
    assert caveats(rows)[0] == "Within noise of the student alone: kd. The interval of the difference includes 0."


@pytest.mark.parametrize(("miou", "difference"), [(0.58, "+8.00"), (0.46, "-4.00"), (0.5, "+0.00")])
def test_one_seed_decides_nothing(seeds, miou, difference):
    rows = seeds(alone=[0.5], kd=[miou])
    assert headline(rows) == (
        f"Undecided at one seed: KD + Af-DCD scores {100 * miou:.2f} mIoU and the student alone 50.00 "
        f"({difference} points)."
    )
    assert caveats(rows) == ["One seed: a small difference may be chance. Run more seeds before you rely on it."]


def test_without_a_common_seed(make_run):
    rows = summarise([make_run("alone", miou=0.5, seed=1), make_run("kd", "distilled", 0.58, seed=2)])
    assert headline(rows) == (
        "Undecided, no seed in common: KD + Af-DCD scores 58.00 mIoU and the student alone 50.00 (+8.00 points)."
    )
    assert "Not all rows have the same seeds" in caveats(rows)[-1]


def test_a_teacher_that_is_behind(make_run):
    runs = [make_run(f"alone-{s}", miou=0.5, seed=s) for s in range(2)]
    runs += [make_run(f"kd-{s}", "distilled", 0.55, seed=s, teacher={"name": "t", "miou": 0.4}) for s in range(2)]
    rows = summarise(runs)
    assert rows[1].gap_closed is None
    assert headline(rows).endswith("over 2 seeds); its teacher's 40.00 is not ahead of the student alone.")


def test_several_methods(seeds):
    alone, kd = [0.50, 0.51, 0.52], [0.55, 0.56, 0.572]
    rows = seeds(alone=alone, kd=kd, cwd=[0.551, 0.55, 0.56], at=[0.42, 0.43, 0.441], ifvd=[0.49, 0.52, 0.53])
    assert headline(rows).startswith("The best of 4 methods, kd, lifts the student from 51.00 to 56.07 mIoU (+5.07")
    notes = caveats(rows)
    assert notes[0] == "Within noise of the student alone: ifvd. The interval of the difference includes 0."
    assert notes[1] == "kd is not shown to be better than cwd."
    assert notes[2].startswith("4 methods are compared, each at 95 %: about one such interval in twenty")
    assert len(notes) == 4


def test_seeds_differ_between_methods(seeds):
    rows = seeds(alone=[0.50, 0.51, 0.52], kd=[0.55, 0.56], cwd=[0.56])
    notes = caveats(rows)
    assert headline(rows).startswith("Undecided at one seed: the best of 2 methods, cwd, scores 56.00")
    assert notes[0].startswith("One seed of cwd: a small difference may be chance")
    assert any("Not all rows have the same seeds" in note for note in notes)


def test_nothing_to_compare(make_run):
    assert headline(summarise([make_run("teacher", "teacher", 0.7)])) == "teacher reaches 70.00 mIoU."
    rows = summarise([make_run("b", score=None)])
    assert headline(rows).startswith("No run was scored")
    assert caveats(rows) == []


def test_unequal_budgets_are_told(make_run):
    rows = summarise([make_run("alone"), make_run("distilled", "distilled", 0.9, iterations=900)])
    assert "different numbers of steps" in caveats(rows)[-1]


def test_a_teachers_budget_and_seeds_are_its_own(make_run, three_runs):
    rows = summarise([*three_runs[1:], make_run("big", "teacher", 0.7, iterations=900, seed=5)])
    assert not any("steps" in note or "same seeds" in note for note in caveats(rows))


def test_what_a_run_notes_is_told_once_for_all_its_seeds(make_run):
    note = "The contrast is switched off."
    runs = [make_run(f"kd-{s}", "distilled", 0.5, seed=s, gallery=0, notes=[note] * (1 + s)) for s in range(2)]
    assert caveats(summarise([*runs, make_run("alone", gallery=0)]))[0] == f"kd: {note}"
    assert sum(note in told for told in caveats(summarise(runs))) == 1
