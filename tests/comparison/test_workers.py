"""Workers that really run: they are told what to do, and do not read the command line of whoever started them."""

import os
import signal
import subprocess
import sys
import time

import pytest
from tests.comparison.test_execution import TEACHER, TINY

import segdistill as sd
from segdistill import store
from segdistill.comparison import workers as module
from segdistill.comparison.planning import Planned
from segdistill.comparison.workers import run_workers
from segdistill.recipe import load_recipe
from segdistill.util import RunError, Stopped, said

SCRIPT = """
import segdistill as sd

compared = sd.compare(
    "demo", ["kd"], seeds=2, overrides={overrides!r}, teacher="demo_teacher", teacher_overrides={teacher!r},
    jobs=2, out={out!r}, announce=print, on_done=lambda run, done, total: print("done:", run.title, done, total),
)
for row in compared.frame():
    print(row["name"], row["miou"], len(row["runs"]))
"""


def test_a_script_without_a_main_guard_compares_in_several_processes(tmp_path):
    script, out = tmp_path / "mine.py", tmp_path / "out"
    script.write_text(SCRIPT.format(overrides=TINY, teacher=TEACHER, out=str(out)))
    done = subprocess.run([sys.executable, script, "--a", "flag"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert lines[0] == "4 trainings: 2 rows x 2 seeds; before them one of the teacher."
    titles = ["none, seed 0", "kd, seed 0", "none, seed 1", "kd, seed 1"]
    done = [line.removeprefix("done: ") for line in lines if line.startswith("done: ")]
    assert sorted(line[:-4] for line in done) == sorted(titles)
    assert [line[-4:] for line in done] == [" 1 4", " 2 4", " 3 4", " 4 4"]
    assert [line.split()[0] for line in lines[-3:]] == ["demo_teacher", "none", "kd"]
    logs = [(out / f"worker_{number}.log").read_text() for number in (0, 1)]
    assert all(sum(f"{title}: done" in log for log in logs) for title in titles)
    for file in (out / store.COMPARISON, out / "kd/1" / store.ENVIRONMENT, out / "teacher" / store.ENVIRONMENT):
        assert store.read_json(file)["command"].startswith("sd.compare('demo', methods=['kd'], seeds=2, ")


@pytest.fixture
def run(tmp_path):
    """A run that takes minutes."""
    return Planned("mine", load_recipe("demo_student", ["train.iterations=10000"]), tmp_path / "run")


def test_the_memory_of_a_gpu_is_free_before_workers_start(tmp_path, run, monkeypatch):
    done = []
    monkeypatch.setattr(module.gc, "collect", lambda: done.append("collect"))
    monkeypatch.setattr(module.torch.cuda, "empty_cache", lambda: done.append("empty"))

    def start(*_):
        done.append("start")
        return subprocess.Popen([sys.executable, "-c", ""])

    monkeypatch.setattr(module, "_start", start)
    run_workers([run], 2, tmp_path, lambda _: None)
    assert done == ["collect", "empty", "start", "start"]


def test_a_worker_that_fails_shows_the_end_of_its_log(tmp_path, run):
    wrong = run._replace(recipe=load_recipe("demo_student", ["model.name=deeplabv3_resnet81"]))
    with pytest.raises(
        RunError, match=r"a worker ended with exit code 2: error: `model.name` must .* \(all of it: .*0"
    ):
        run_workers([wrong], 1, tmp_path, lambda run: None)


def test_a_signal_reaches_the_workers_which_save_their_state(tmp_path, run, monkeypatch):
    def sleep(seconds, wait=time.sleep):
        wait(seconds)
        if (run.folder / store.METRICS).is_file():
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(module.time, "sleep", sleep)
    with pytest.raises(Stopped) as stopped, said("segdistill compare"):
        run_workers([run], 1, tmp_path, lambda run: None)
    assert stopped.value.signum == signal.SIGTERM
    assert (run.folder / store.LAST).is_file()
    assert "stopped by SIGTERM after step" in (tmp_path / "worker_0.log").read_text()
    assert store.read_json(run.folder / store.ENVIRONMENT)["command"] == "segdistill compare"


def test_gpus_are_dealt_out_and_cores_shared(monkeypatch):
    monkeypatch.delenv(module.CORES, raising=False)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(module.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    shares = [module._share(number, 3) for number in range(3)]
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares] == ["4", "7", "4"]
    assert {share[module.CORES] for share in shares} == {"2"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": "kd"}, "`methods` must be a list of texts"),
        ({"methods": []}, "give --methods"),
        ({"seeds": 0}, "`seeds` must be a number above 0 or a list of seeds; got 0"),
        ({"seeds": "3"}, "`seeds` must be a number above 0"),
        ({"seeds": [0.5]}, "`seeds` must be a number above 0"),
        ({"jobs": 0}, "`jobs` must be a whole number"),
        ({"teacher": object()}, "`teacher` must be a run folder, a weights file or a recipe"),
        ({"overrides": "seed=1"}, "`overrides` must be a list"),
        ({"recipe": 3}, "`recipe` must be a path"),
    ],
)
def test_arguments_of_another_kind_are_a_sentence(tmp_path, arguments, message):
    with pytest.raises(sd.SegdistillError, match=message):
        sd.compare(**{"recipe": "demo", "methods": ["kd"], "teacher": "demo_teacher", "out": tmp_path, **arguments})
    assert list(tmp_path.iterdir()) == []
