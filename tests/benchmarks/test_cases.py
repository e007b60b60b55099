"""Every case runs, small, and what it says of itself is what the page reads."""

import json
import sys

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import contrast, growth, loss, networks, render, step

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(contrast, "CHANNELS", 32)
    monkeypatch.setattr(contrast, "SIZES", {"64x128": (8, 12), "45x45": (9, 9)})
    monkeypatch.setattr(loss, "CHANNELS", 64)
    monkeypatch.setattr(loss, "WIDTHS", (512, 320))
    monkeypatch.setattr(loss, "FEW", 4)
    monkeypatch.setattr(loss, "SIZES", {"45x45": (5, 5), "64x64": (16, 16)})
    monkeypatch.setattr(loss.case, "__kwdefaults__", {"channels": 64})
    monkeypatch.setattr(networks, "WIDTHS", (4, 8, 12, 16))
    monkeypatch.setattr(step, "CHANNELS", (16, 64))
    monkeypatch.setattr(step, "CASES", {"cpu": (((128, 128), 2),)})
    monkeypatch.setattr(growth, "CHANNELS", {"cpu": (4, 32)})
    monkeypatch.setattr(growth, "IMAGES", [((8, 8), 1), ((8, 8), 2)])
    monkeypatch.setattr(growth, "POSITIONS", [((8, 8), 1), ((8, 16), 1)])


def test_one_command_measures_and_the_page_shows_it(tmp_path, monkeypatch, capsys):
    file = tmp_path / "results/cpu.json"
    monkeypatch.setattr(
        sys, "argv", ["benchmarks", "--out", str(file), "--turns", "2", "--batches", "1", "2", "--device", "cpu"]
    )
    assert command.main() == 0
    record = json.loads(file.read_text())
    assert list(record) == ["contrast", "loss", "step", "growth"]
    assert len(record["contrast"]["cases"]) == 2 * 2 + len(contrast.KINDS)
    assert len(record["loss"]["cases"]) == 2 * 2 * 2
    assert len(record["growth"]["cases"]) == 2 * 2 * 2
    assert "parity:" in capsys.readouterr().out
    page = render.render({"cpu": record, "gpu": None, "loader_cpu": None})
    aims = [aim for *_, aims in render.TARGETS for aim in aims[1:]]  # the two columns of a GPU
    assert page.count("not measured yet") == sum(aim != "-" for aim in aims)
    assert render.FEW == loss.NARROW
    ratio = record["step"]["cases"][0]["ratios"]["ours"]["time"]["median"]
    assert f"| {ratio:.2f} [" in page
    steps = [line for line in page.splitlines() if "resnet101 -> resnet18 | " in line]
    assert [line.split(" | ")[4:6] for line in steps] == [["-", "-"]] * 2  # a step has no forward pass of its own
    assert "|  |" not in page
    assert "## Loading" not in page


def measure(file, monkeypatch, *words):
    options = ["--turns", "1", "--batches", "1", "--device", "cpu", *words]
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--out", str(file), *options])
    return command.main(), json.loads(file.read_text()), file.with_suffix(".md").read_text()


def test_what_ends_a_subject_is_in_the_file_and_on_the_page_and_stops_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "parity", lambda device: {"contrast": 0.0, "loss": 0.0})
    made = iter([contrast.case(CPU, "45x45", (9, 9), 1, "l1", "other_groups", turns=1)])

    def cases(*args, **options):
        yield next(made)
        raise torch.cuda.OutOfMemoryError("no room\nfor maps")

    monkeypatch.setitem(command.SUBJECTS, "contrast", cases)
    code, record, page = measure(tmp_path / "cpu.json", monkeypatch, "--only", "contrast", "loss")
    assert code == 1
    assert record["contrast"]["error"] == "OutOfMemoryError: no room for maps"
    assert len(record["contrast"]["cases"]) == 1
    assert "error" not in record["loss"]
    assert "**contrast ended before its end**: OutOfMemoryError: no room for maps" in page
    assert "| 45x45, pooled 9x9 |" in page


def test_without_parity_nothing_is_measured_and_the_page_says_why(tmp_path, monkeypatch):
    def differ(device):
        raise AssertionError("contrast: relative difference 1.0e-01")

    monkeypatch.setattr(command, "parity", differ)
    for subject in command.SUBJECTS:
        monkeypatch.setitem(command.SUBJECTS, subject, None)
    code, record, page = measure(tmp_path / "cpu.json", monkeypatch)
    assert code == 1
    assert all(one["cases"] == [] for one in record.values())
    assert page.count("ended before its end**: parity: AssertionError: contrast: relative difference 1.0e-01") == 4
    assert page.count("not measured yet") == sum(aim != "-" for *_, aims in render.TARGETS for aim in aims)


@pytest.fixture
def in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_both_steps_do_the_same(in_float64):
    image, labels = torch.rand(2, 3, 128, 128), torch.randint(step.CLASSES, (2, 128, 128))
    after, before = [], []
    for make in (step.published_step, lambda *maps: step.our_step(*maps, low=False)):
        run, (_, *modules), _ = make(image, labels)
        student = next(m for module in modules for m in module.modules() if isinstance(m, networks.DeepLabV3))
        before.append([p.detach().clone() for p in student.parameters()])
        torch.manual_seed(7)  # of the mask
        run()
        after.append([p.detach().clone() for p in student.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*before, strict=True))
    steps = [
        torch.cat([(b - a).flatten() for a, b in zip(*pair, strict=True)]) for pair in zip(before, after, strict=True)
    ]
    assert steps[0].norm() > 0
    assert (steps[1] - steps[0]).norm() < 1e-10 * steps[0].norm()


def test_a_record_without_parity_is_not_reported():
    with pytest.raises(ValueError, match="without parity"):
        render.render({"cpu": {"loss": {"parity": None, "cases": []}}, "gpu": None, "loader_cpu": None})


@pytest.mark.parametrize(
    ("commit", "shown"),
    [(None, "-"), ("0123456789abcdef", "0123456789"), ("0123456789a with changes", "0123456789 with changes")],
)
def test_the_page_names_the_commit_if_there_is_one(commit, shown):
    env = {"commit": commit, "device": "CPU", "threads": 1, "torch": "2", "triton": None}
    measured = {"environment": env, "parity": {"contrast": 0, "loss": 0}, "turns": 1, "note": "", "cases": []}
    page = render.render({"cpu": {"loss": measured}, "gpu": None, "loader_cpu": None})
    assert f"| loss | CPU | 1 | 2 | - | {shown} | 1 | 0e+00 | - |" in page


def test_the_committed_page_is_that_of_the_committed_numbers():
    assert render.PAGE.read_text() == render.render(render.read())
