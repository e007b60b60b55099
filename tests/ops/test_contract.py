import logging
import subprocess
import sys

import pytest
import torch
from tests.ops.contract import IMPLS, OPS, SIZES

from segdistill.ops import impl as choice

torch.set_num_threads(1)

every_op = pytest.mark.parametrize("op", OPS.values(), ids=OPS)
SCALE = {torch.float32: 1e-5, torch.float64: 1e-12}


def check_equal(results, expected, tolerance):
    for result, true in zip(results, expected, strict=True):
        assert result.shape == true.shape
        assert (result.double() - true.double()).abs().max() <= tolerance * (1 + true.abs().max())


@every_op
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("impl", ["fused", "auto"])
def test_equals_the_reference_in_value_and_every_gradient(op, size, impl):
    tensors = op.tensors(size)
    check_equal(op.results(impl, tensors), op.results("reference", tensors), 1e-12)


@every_op
@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_is_computed_and_differentiated_in_its_dtype(op, impl, dtype):
    tensors = op.tensors(dtype=dtype)
    results = op.results(impl, tensors)
    assert {x.dtype for x in results} == {dtype}
    check_equal(results, op.results("reference", [x.double() for x in tensors]), 100 * SCALE[dtype])


@every_op
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_gives_float32_where_the_result_is_a_number(op, dtype):
    value, *gradients = op.results("auto", op.tensors(dtype=dtype))
    assert value.dtype == (torch.float32 if op.scalar else dtype)
    assert {x.dtype for x in gradients} == {dtype}
    assert all(x.isfinite().all() for x in (value, *gradients))


@every_op
@pytest.mark.parametrize("impl", IMPLS)
def test_every_element_is_written(op, impl, monkeypatch):
    tensors = op.tensors()
    for home, name in ((torch, "empty"), (torch, "empty_like"), (torch.Tensor, "new_empty")):
        make = getattr(home, name)
        monkeypatch.setattr(home, name, lambda *args, make=make, **options: make(*args, **options).fill_(torch.nan))
    assert all(x.isfinite().all() for x in op.results(impl, tensors))


@every_op
def test_an_unknown_implementation_is_named(op):
    with pytest.raises(ValueError, match=r"`impl` must be one of 'auto', 'reference', 'fused'; got 'triton'\."):
        op.run(*op.tensors(), impl="triton")


@every_op
def test_fused_is_never_replaced_in_silence(op):
    tensors = [x.to("meta") for x in op.tensors()]
    expected = op.run(*tensors, impl="auto")
    if op.refusal is None:
        assert op.run(*tensors, impl="fused").shape == expected.shape
        return
    begin = rf"`impl` must be 'auto' or 'reference' here; got 'fused', but the fused {op.name} cannot run: "
    with pytest.raises(RuntimeError, match=begin + op.refusal):
        op.run(*tensors, impl="fused")


@every_op
def test_auto_says_its_choice_once(op, caplog):
    choice.say_once.cache_clear()
    tensors = op.tensors()
    with caplog.at_level(logging.INFO):
        for impl in 2 * IMPLS:
            op.run(*tensors, impl=impl)
    said = [(r.levelno, r.getMessage()) for r in caplog.records if r.getMessage().startswith(op.name)]
    assert said == [(logging.INFO, f"{op.name} on cpu: `impl='auto'` takes {op.auto}")]


@every_op
def test_auto_says_what_kept_it_from_the_fused_form(op, caplog):
    choice.say_once.cache_clear()
    with caplog.at_level(logging.INFO):
        op.run(*(x.to("meta") for x in op.tensors()), impl="auto")
    if op.refusal is not None:
        assert f"{op.name} on meta: `impl='auto'` takes reference: {op.refusal}" in caplog.text


def test_a_name_that_a_package_bears_too_is_the_function():
    code = (
        "import segdistill.ops, segdistill.ops.dense_contrast.api, segdistill.ops.squared_error.fused, inspect;"
        "print(*map(inspect.isfunction, (segdistill.ops.dense_contrast, segdistill.ops.squared_error)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True"], done.stderr
