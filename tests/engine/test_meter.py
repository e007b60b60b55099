"""The clock of a run."""

import time

import pytest
import torch

from segdistill.engine.meter import Clock


@pytest.fixture
def fake(monkeypatch):
    """A clock that is set by hand, and a GPU whose queue takes time only when somebody waits for it."""
    now, queue = [100.0], [0.0]

    def wait(device):
        assert device.type == "cuda"
        now[0] += queue[0]
        queue[0] = 0.0

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(torch.cuda, "synchronize", wait)
    return now, queue


def test_what_was_queued_before_a_stop_counts_and_what_is_queued_inside_does_not(fake):
    now, queue = fake
    clock = Clock(0.0, 0, 4, torch.device("cuda"))
    now[0] += 1  # the host launches a forward pass ...
    queue[0] = 5  # ... and the GPU still has it to do
    with clock.stopped():
        now[0] += 10
        queue[0] = 20
    assert clock.seconds() == 6
    assert now[0] == 136


def test_a_cpu_has_no_queue(fake):
    now, queue = fake
    clock = Clock(2.0, 0, 4, torch.device("cpu"))
    queue[0] = 5
    with clock.stopped():
        now[0] += 10
    now[0] += 1
    assert clock.seconds() == 3
    assert clock.lap(2) == {"seconds": 3.0, "images_per_s": 8.0}
