import functools
import itertools
import logging
import os
import shutil

import pytest
import torch
from tests.ops.largest import Largest

from segdistill.ops import dense_contrast
from segdistill.ops.dense_contrast.cpu import chunked
from segdistill.ops.dense_contrast.cpu.chunked import contrast_chunked
from segdistill.ops.dense_contrast.reference import contrast_of_sets
from segdistill.ops.launch import interpreted
from segdistill.ops.unit import unit

torch.set_num_threads(1)

DISTANCES = ("l1", "l2", "cosine")
KINDS = list(itertools.product(DISTANCES, (0, 3)))
needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "c++")) is None, reason="no C++ compiler is found"
)


@pytest.fixture(autouse=True)
def no_memory_of_failures(monkeypatch):
    monkeypatch.setattr(chunked, "_broken", [])


def cells(sets, positions, width, distance, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    pair = torch.randn(2, sets, 3 * positions, width, generator=generator, dtype=dtype)
    return unit(pair) if distance == "cosine" else pair


def check(student, teacher, temperature, distance, groups, *, value_alone=True):
    student = student.clone().requires_grad_()
    expected = contrast_of_sets(student, teacher, temperature, distance, groups)
    (gradient,) = torch.autograd.grad(expected, student)
    results = contrast_chunked(student.detach(), teacher, temperature, distance, groups, True)
    torch.testing.assert_close(results, (expected.detach(), gradient), rtol=1e-12, atol=1e-12)
    if value_alone:
        value, nothing = contrast_chunked(student.detach(), teacher, temperature, distance, groups, False)
        torch.testing.assert_close(value, results[0], rtol=1e-12, atol=1e-12)
        assert nothing.shape == (0,)


@pytest.mark.parametrize(("distance", "groups"), KINDS)
@pytest.mark.parametrize(("sets", "chunk"), [(1, 1), (7, 1), (7, 3 * 144), (6, 3 * 144), (3, 2**19)])
def test_equals_the_reference_however_it_is_cut(distance, groups, sets, chunk, monkeypatch):
    seen = []
    run = chunked._run
    monkeypatch.setattr(chunked, "_run", lambda *args: seen.append(len(args[2])) or run(*args))
    monkeypatch.setattr(chunked, "CHUNK", chunk)
    check(*cells(sets, 4, 5, distance), 0.5, distance, groups)
    size = max(1, chunk // 144)
    assert seen == 2 * [min(size, sets - start) for start in range(0, sets, size)]


@pytest.mark.parametrize(("distance", "groups"), KINDS)
@pytest.mark.parametrize("temperature", [0.01, 30.0])
def test_any_temperature(distance, groups, temperature):
    check(*cells(2, 4, 5, distance), temperature, distance, groups)


@pytest.mark.parametrize("distance", DISTANCES)
def test_equal_cells_zero_vectors_and_ties(distance):
    student, teacher = cells(2, 4, 6, distance)
    teacher[:, ::2] = 0
    student[..., ::2] = teacher[..., ::2]
    for start in (student, teacher, torch.zeros_like(teacher)):
        check(start, teacher, 0.5, distance, 3)


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_float32_keeps_its_digits_far_from_the_origin(distance):
    student, teacher = (1000 + cells(2, 4, 6, distance)).float()
    value, gradient = contrast_chunked(student, teacher, 1.0, distance, 3, True)
    exact, exact_gradient = contrast_chunked(student.double(), teacher.double(), 1.0, distance, 3, True)
    torch.testing.assert_close(value.double(), exact, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=1e-4, atol=1e-5)


def test_low_precision_is_computed_in_float32_also_under_autocast():
    student, teacher = cells(2, 4, 6, "cosine").bfloat16()
    expected = contrast_chunked(student.float(), teacher.float(), 0.1, "cosine", 3, True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = contrast_chunked(student, teacher, 0.1, "cosine", 3, True)
    torch.testing.assert_close(results, expected, rtol=0, atol=0)


@needs_compiler
@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_compiled_chunks_equal_the_reference(distance, monkeypatch, caplog):
    torch._dynamo.reset()  # other tests have compiled it for other sizes
    calls = []
    compiled = chunked._compiled
    monkeypatch.setattr(chunked, "_compiled", lambda name: calls.append(name) or compiled(name))
    monkeypatch.setattr(chunked, "WORTH_COMPILING", 0)
    monkeypatch.setattr(chunked, "CHUNK", 3 * 144)
    student, teacher = cells(5, 4, 6, distance)
    student[:, ::2, ::2] = teacher[:, ::2, ::2]
    student[:, 1] = teacher[:, 1]
    student[:, 2] = teacher[:, 2] = teacher[:, 3] = 0
    with caplog.at_level(logging.WARNING, logger="segdistill"), torch._dynamo.config.patch(error_on_recompile=True):
        for temperature, groups in ((0.5, 3), (0.03, 0), (30.0, 3)):
            check(student, teacher, temperature, distance, groups, value_alone=False)
        check(*cells(3, 3, 5, distance), 0.5, distance, 3, value_alone=False)
    check(student, teacher, 0.5, distance, 3, value_alone=distance == "l1")
    assert not chunked._broken
    assert not [record for record in caplog.records if record.name.startswith("segdistill")]
    assert len(calls) == 3 * 2 + 1 + (4 if distance == "l1" else 2)


@needs_compiler
@pytest.mark.parametrize(
    ("distance", "sets", "asked"),
    [("l1", 2, False), ("l1", 3, True), ("l2", 3, True), ("cosine", 3, False)],
)
def test_the_compiler_is_asked_where_it_pays(distance, sets, asked, monkeypatch):
    calls = []

    def without_compiling(name):
        calls.append(name)
        return functools.partial(chunked._eager, name)

    monkeypatch.setattr(chunked, "_compiled", without_compiling)
    monkeypatch.setattr(chunked, "WORTH_COMPILING", 3 * 144 * 5)
    check(*cells(sets, 4, 5, distance), 0.5, distance, 3)
    assert bool(calls) == asked


def test_a_compiler_that_fails_is_asked_once_and_changes_no_number(monkeypatch, caplog):
    calls = []

    def fail(*args):
        calls.append(args)
        raise RuntimeError("\n  the disk is full\nand more\n")

    monkeypatch.setattr(chunked, "_compiled", lambda distance: fail)
    monkeypatch.setattr(chunked, "WORTH_COMPILING", 0)
    monkeypatch.setattr(chunked, "CHUNK", 1)
    monkeypatch.setattr(chunked.shutil, "which", lambda name: name)
    with caplog.at_level(logging.WARNING):
        check(*cells(5, 4, 5, "l1"), 0.5, "l1", 3)
        check(*cells(5, 4, 5, "l2"), 0.5, "l2", 3)
    assert len(calls) == 1
    assert len(caplog.messages) == 1
    assert "RuntimeError: the disk is full" in caplog.text
    assert "and more" not in caplog.text


def test_a_missing_compiler_is_said_once(monkeypatch, caplog):
    monkeypatch.setenv("CXX", "/nonexistent/c++")
    monkeypatch.setattr(chunked, "WORTH_COMPILING", 0)
    monkeypatch.setattr(chunked, "_compiled", None)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            check(*cells(2, 4, 5, "l1"), 0.5, "l1", 3)
    assert len(caplog.messages) == 1
    assert "no C++ compiler is found" in caplog.text
    assert "CXX" in caplog.text


@pytest.mark.skipif(interpreted(), reason="Triton is interpreted here")
@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_of_a_chunk_at_most_are_held(distance, monkeypatch):
    monkeypatch.setattr(chunked, "CHUNK", 4096)
    student, teacher = torch.randn(2, 1, 24, 16, 16)  # 16 sets of 128 cells: 262144 distances
    largest = {}
    for impl in ("reference", "fused"):
        x = student.clone().requires_grad_()
        with Largest() as largest[impl]:
            dense_contrast(x, teacher, groups=8, distance=distance, impl=impl).backward()
    assert largest["reference"].elements >= 16 * 128 * 128
    # A set is not cut, and what torch sees as a batch of sets is at least one.
    assert largest["fused"].elements <= max(4096, 128 * 128, student.numel())
