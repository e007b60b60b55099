import pytest
import torch

from segdistill.ops.masked_generator.cpu import linear as _linear
from segdistill.ops.masked_generator.cpu.linear import linear, product

torch.set_num_threads(1)


@pytest.fixture(params=["oneDNN", "plain"])
def operator(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr(_linear, "hasattr", lambda *args: False, raising=False)


def pair(rows, dtype):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(size, 7, generator=generator, dtype=torch.float64).to(dtype) for size in (rows, 5))


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [0, 1, 33])
@pytest.mark.parametrize("layout", [lambda x: x, lambda x: x.T.contiguous().T, lambda x: x.repeat(1, 2)[:, :7]])
def test_is_the_product_with_the_transpose(dtype, rows, layout):
    x, weight = pair(rows, dtype)
    expected = x.double() @ weight.double().T
    tolerance = 16 * torch.finfo(dtype).eps
    for multiply in (linear, product):
        y = multiply(layout(x), layout(weight))
        assert y.dtype == dtype
        torch.testing.assert_close(y.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [0, 33])
def test_gradients_of_both(dtype, rows):
    x, weight = pair(rows, dtype)
    slope = torch.randn(rows, 5).to(dtype)
    tensors = [x.requires_grad_(), weight.requires_grad_()]
    gradients = torch.autograd.grad(product(x, weight), tensors, slope)
    expected = slope.double() @ weight.double(), slope.double().T @ x.double()
    tolerance = 32 * torch.finfo(dtype).eps
    for gradient, true, tensor in zip(gradients, expected, tensors, strict=True):
        assert gradient.dtype == dtype
        assert gradient.shape == tensor.shape
        torch.testing.assert_close(gradient.double(), true, rtol=tolerance, atol=tolerance)


def test_gradcheck():
    assert torch.autograd.gradcheck(product, tuple(x.requires_grad_() for x in pair(3, torch.float64)))


@pytest.mark.parametrize("wanted", [0, 1])
def test_either_gradient_can_be_wanted_alone(wanted):
    tensors = list(pair(3, torch.float64))
    tensors[wanted].requires_grad_()
    expected = tensors[1].sum(0).expand(3, 7) if wanted == 0 else tensors[0].sum(0).expand(5, 7)
    product(*tensors).sum().backward()
    torch.testing.assert_close(tensors[wanted].grad, expected)
