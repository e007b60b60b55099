import torch

from segdistill.ops.squared_error.reference import squared_error_reference


def test_a_case_computed_by_hand():
    x, target = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True), torch.tensor([[0.0, 2.0], [5.0, 1.0]])
    value = squared_error_reference(x, target)
    value.backward()
    assert value.item() == 1 + 0 + 4 + 9
    assert x.grad.tolist() == [[2, 0], [-4, 6]]
