"""Cross-image relations and the memory of the teacher by explicit loops."""

import math

from torch import Tensor


def relations_by_loops(
    student: Tensor, teacher: Tensor, student_keys: Tensor, teacher_keys: Tensor, temperature: float
) -> float:
    """Mean divergence over rows (N, C) and sets of keys (G, M, C), not yet of unit length."""
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        for s_keys, t_keys in zip(student_keys, teacher_keys, strict=True):
            q = _softmax([_cosine(s, key) / temperature for key in s_keys])
            p = _softmax([_cosine(t, key) / temperature for key in t_keys])
            total += sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
    return total / (len(student) * len(student_keys))


def mini_batch_by_loops(student: Tensor, teacher: Tensor, temperature: float) -> float:
    """Maps (B, C, H, W)."""
    pairs = [(i, j) for i in range(len(student)) for j in range(len(student))]
    rows_s, rows_t = student.flatten(2).mT, teacher.flatten(2).mT
    values = [
        relations_by_loops(rows_s[i], rows_t[i], rows_s[j : j + 1], rows_t[j : j + 1], temperature) for i, j in pairs
    ]
    return sum(values) / len(values)


def push_by_loops(queues: Tensor, slots: list[int], keys: Tensor, classes: list[int]) -> None:
    """Put keys one after the other into queues (K, size, C), in place; the oldest is overwritten."""
    for key, label in zip(keys, classes, strict=True):
        queues[label, slots[label]] = key
        slots[label] = (slots[label] + 1) % queues.shape[1]


def _cosine(a: Tensor, b: Tensor) -> float:
    a, b = a.tolist(), b.tolist()
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def _softmax(values: list[float]) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]
