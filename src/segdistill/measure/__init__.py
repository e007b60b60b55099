"""What a step costs: time and memory of its parts; latency; multiplications; what small students cost."""

from segdistill.measure.latency import LATENCY_WARM_UP, latencies, timings
from segdistill.measure.macs import count_macs
from segdistill.measure.memory import Gauge, gauge
from segdistill.measure.split import Direction, split_step
from segdistill.measure.students import (
    SMALL_STUDENTS,
    STUDENT_CLASSES,
    STUDENT_SIZE,
    SmallStudent,
    StudentCost,
    StudentCosts,
    known_costs,
    measure_students,
)

__all__ = [
    "LATENCY_WARM_UP",
    "SMALL_STUDENTS",
    "STUDENT_CLASSES",
    "STUDENT_SIZE",
    "Direction",
    "Gauge",
    "SmallStudent",
    "StudentCost",
    "StudentCosts",
    "count_macs",
    "gauge",
    "known_costs",
    "latencies",
    "measure_students",
    "split_step",
    "timings",
]
