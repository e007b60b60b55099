"""What a step costs: time and memory of its parts; latency."""

from segdistill.measure.latency import LATENCY_WARM_UP, latencies
from segdistill.measure.memory import Gauge, gauge
from segdistill.measure.split import Direction, split_step

__all__ = [
    "LATENCY_WARM_UP",
    "Direction",
    "Gauge",
    "gauge",
    "latencies",
    "split_step",
]
