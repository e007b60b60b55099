"""Small students and what they cost: what is stored is what a measurement gives, times apart."""

import sys

import pytest
import torch
from torch import nn

from segdistill.measure import (
    SMALL_STUDENTS,
    STUDENT_CLASSES,
    STUDENT_SIZE,
    SmallStudent,
    count_macs,
    known_costs,
    measure_students,
)
from segdistill.networks import create_network
from segdistill.util import UnavailableError

STORED = {(cost.source, cost.name, tuple(cost.options.items())): cost for cost in known_costs().students}


def test_multiplications_are_those_of_a_convolution_and_a_linear_layer():
    network = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), nn.Flatten(2), nn.Linear(8 * 10, 5))
    assert count_macs(network, 4, (16, 20)) == 6 * 4 * 9 * 8 * 10 + 6 * 80 * 5


def test_every_small_student_is_stored_in_order_with_a_cost():
    wanted = [(student.source, student.name, tuple(student.options.items())) for student in SMALL_STUDENTS]
    assert list(STORED) == wanted
    assert all(cost.params > 1e5 and cost.macs > 1e8 and cost.ms > 0 for cost in STORED.values())
    assert known_costs().environment["threads"] == 1


@pytest.mark.parametrize("student", SMALL_STUDENTS, ids=lambda student: student.key)
def test_stored_parameters_and_multiplications_are_those_of_the_network(student):
    network = create_network(
        student.name, source=student.source, num_classes=STUDENT_CLASSES, options=dict(student.options)
    ).eval()
    stored = STORED[student.source, student.name, tuple(student.options.items())]
    assert sum(parameter.numel() for parameter in network.parameters()) == stored.params
    assert count_macs(network, 3, STUDENT_SIZE) == stored.macs


def test_a_measurement_gives_parameters_multiplications_and_milliseconds():
    (cost,) = measure_students([SMALL_STUDENTS[0]], size=(256, 256), repeats=1)
    stored = STORED[cost.source, cost.name, ()]
    assert cost.params == stored.params
    assert 0.2 * stored.macs < cost.macs < 0.3 * stored.macs  # a quarter of the pixels
    assert cost.ms > 0


def test_threads_are_as_before():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        list(measure_students([SMALL_STUDENTS[0]], size=(64, 64), repeats=1))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_missing_library_is_told_and_the_others_are_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    students = [SmallStudent("smp", "FPN"), SMALL_STUDENTS[0]]
    with pytest.raises(UnavailableError, match="pip install"):
        list(measure_students(students, size=(64, 64), repeats=1))
    told = []
    (cost,) = measure_students(students, size=(64, 64), repeats=1, skip=lambda student, error: told.append(student.key))
    assert cost.name == SMALL_STUDENTS[0].name
    assert told == ["smp:FPN"]
