import contextlib
import subprocess
import sys
import time

import pytest

from segdistill.util import lock

HOLD = """
import sys, time
from pathlib import Path
from segdistill.util import lock
with lock(Path(sys.argv[1]), wait=False) as claimed:
    print(claimed, flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the folder for some seconds."""
    started = []

    def start(seconds):
        command = [sys.executable, "-c", HOLD, str(tmp_path), str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "True\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def claimed(folder, *, wait=False):
    with lock(folder, wait=wait) as mine:
        return mine


def test_a_folder_is_made_claimed_and_let_go(tmp_path):
    folder = tmp_path / "a/b"
    assert claimed(folder)
    assert claimed(folder)
    with lock(folder, wait=False) as mine:
        assert mine
        assert not claimed(folder)
        assert claimed(tmp_path / "another")


@pytest.mark.parametrize("held", [False, True])
def test_an_error_inside_is_not_swallowed_and_lets_go(tmp_path, held):
    def fail():
        with lock(tmp_path, wait=False) as mine:
            assert mine is not held
            raise RuntimeError("inside")

    with lock(tmp_path, wait=False) if held else contextlib.nullcontext(), pytest.raises(RuntimeError, match="inside"):
        fail()
    assert claimed(tmp_path)


def test_another_process_is_respected_until_it_is_killed(tmp_path, other):
    process = other(60)
    assert not claimed(tmp_path)
    process.kill()
    process.wait()
    assert claimed(tmp_path)


def test_waiting_ends_when_the_other_lets_go(tmp_path, other):
    process = other(0.5)
    start = time.monotonic()
    assert claimed(tmp_path, wait=True)
    assert time.monotonic() - start > 0.2
    process.wait(10)


def test_waiting_ends_when_the_other_is_killed(tmp_path, other):
    other(60).kill()
    assert claimed(tmp_path, wait=True)


def test_a_file_that_was_left_behind_claims_nothing(tmp_path):
    (tmp_path / ".lock").touch()
    assert claimed(tmp_path)
