import shutil
import subprocess

import pytest
import torch

from benchmarks import harness

CPU = torch.device("cpu")


def test_ways_are_measured_in_turn_and_compared_with_the_first():
    x, called = torch.ones(8, requires_grad=True), []

    def way(name):
        def run():
            called.append(name)
            return (x * 2).sum()

        return run

    found = harness.measure({"slow": way("slow"), "fast": way("fast")}, [x], turns=3, device=CPU)
    assert called[:8] == ["slow", "fast"] * 4  # the first turn warms up
    assert set(found["ways"]) == {"slow", "fast"}
    assert set(found["ratios"]) == {"fast"}
    for numbers in found["ways"].values():
        for part in ("forward", "backward", "both"):
            assert 0 < numbers[part]["q25"] <= numbers[part]["median"] <= numbers[part]["q75"]
    assert x.grad is None  # gradients are asked for, not gathered


def test_a_way_that_does_everything_has_neither_forward_nor_backward():
    found = harness.measure({"step": lambda: None}, [], turns=2, device=CPU)
    assert set(found["ways"]["step"]) == {"both", "extra_peak_mb"}


def test_ratio_is_first_by_other(monkeypatch):
    laps = iter([(9.0, 9.0), (9.0, 9.0), (4.0, 2.0), (1.0, 1.0), (8.0, 4.0), (1.0, 2.0)])
    monkeypatch.setattr(harness, "_lap", lambda *_: next(laps))
    monkeypatch.setattr(harness, "extra_peak", lambda way, *_: {"a": 8.0, "b": 2.0}[way])
    found = harness.measure({"a": "a", "b": "b"}, [], turns=2, device=CPU)
    assert found["ratios"]["b"]["time"] == {"q25": 3.25, "median": 3.5, "q75": 3.75}
    assert found["ratios"]["b"]["memory"] == 0.25
    assert found["ways"]["a"]["both"]["median"] == 9000.0


def test_memory_is_what_was_held_at_the_worst_moment():
    x = torch.ones(1, requires_grad=True)

    def way():
        first = torch.ones(2**20)  # 4 MiB
        second = first + 1
        del first
        return second.sum() + x.sum()

    assert harness.extra_peak(way, [x], CPU) == pytest.approx(8, abs=0.1)


def test_what_does_not_fit_is_said_and_the_rest_goes_on():
    def too_large():
        raise torch.cuda.OutOfMemoryError("no")

    x = torch.ones(1, requires_grad=True)
    found = harness.measure({"large": too_large, "small": lambda: x.sum()}, [x], turns=1, device=CPU)
    assert found["ways"]["large"] == "out of memory"
    assert found["ways"]["small"]["both"]["median"] > 0
    assert found["ratios"] == {}


def test_the_environment_names_commit_versions_and_device():
    env = harness.environment(CPU)
    assert env["torch"] == torch.__version__
    assert env["device"].startswith("CPU")
    assert {"commit", "python", "triton", "threads", "tf32"} <= env.keys()


def git(folder, *words):
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_marked_where_code_has_changed_but_not_by_what_is_measured(tmp_path, monkeypatch):
    for name in ("benchmarks/results/cpu.json", "benchmarks/harness.py", "src/a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    monkeypatch.setattr(harness, "__file__", str(tmp_path / "benchmarks/harness.py"))
    assert harness.commit() is None  # no checkout
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "all")
    clean = harness.commit()
    assert len(clean) == 40
    (tmp_path / "benchmarks/results/cpu.json").write_text("2")
    assert harness.commit() == clean
    (tmp_path / "src/a.py").write_text("2")
    assert harness.commit() == f"{clean} with changes"


def test_a_machine_without_git_measures_too(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert harness.environment(CPU)["commit"] is None
