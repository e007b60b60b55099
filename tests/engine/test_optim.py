import pytest
import torch
from torch import nn

from segdistill.engine.optim import make_optimizer, poly_lr, set_lr


def test_poly_falls_from_lr_to_zero_with_the_given_power():
    assert poly_lr(0, 10, lr=0.02, power=0.9) == 0.02
    assert poly_lr(5, 10, lr=0.02, power=2) == pytest.approx(0.005)
    assert poly_lr(9, 10, lr=0.02, power=1) == pytest.approx(0.002)
    assert poly_lr(36_000, 40_000, lr=0.02, power=0.9) == pytest.approx(0.02 * 0.1**0.9)
    assert poly_lr(10, 10, lr=0.02, power=0.9) == 0
    assert poly_lr(7, 10, lr=0.02, power=0) == 0.02


def test_poly_never_falls_below_its_floor():
    rates = [poly_lr(step, 100, lr=0.02, power=0.9, min_lr=1e-4) for step in range(101)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 1e-4
    assert rates[50] == pytest.approx(0.02 * 0.5**0.9)  # a floor, not a shift


def test_sgd_follows_momentum_and_weight_decay():
    weight = nn.Parameter(torch.tensor([2.0]))
    optimizer = make_optimizer([weight], name="sgd", lr=0.1, momentum=0.5, weight_decay=0.25)
    velocity, expected = 0.0, 2.0
    for gradient in (1.0, -3.0):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        velocity = 0.5 * velocity + gradient + 0.25 * expected
        expected -= 0.1 * velocity
        assert weight.item() == pytest.approx(expected)


def test_adamw_decays_apart_from_the_gradient():
    weight = nn.Parameter(torch.tensor([2.0]))
    optimizer = make_optimizer([weight], name="adamw", lr=0.1, momentum=0.5, weight_decay=0.25)
    weight.grad = torch.tensor([40.0])
    optimizer.step()
    assert weight.item() == pytest.approx(2.0 * (1 - 0.1 * 0.25) - 0.1)


def test_every_parameter_is_decayed_and_every_group_gets_the_rate():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    optimizer = make_optimizer(network.parameters(), name="sgd", lr=0.1, momentum=0.9, weight_decay=1e-4)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4
    assert {group["weight_decay"] for group in optimizer.param_groups} == {1e-4}
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 3.0})
    set_lr(optimizer, 0.01)
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.01]


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="'sgd' or 'adamw'; got 'adam'"):
        make_optimizer([nn.Parameter(torch.zeros(1))], name="adam", lr=0.1, momentum=0, weight_decay=0)
