import pytest
import torch

from segdistill.experiment.settings import build_plan, build_protocol


def test_the_protocol_and_the_plan_are_those_of_the_recipe(tiny):
    protocol = build_protocol(tiny("demo", "evaluate={scales: [0.5, 1.0], flip: true, window: [32, 48]}"))
    assert protocol == ((0.5, 1.0), True, (32, 48), "skip")
    assert build_protocol(tiny("demo", "evaluate.protocol=paper")).absent == "zero"
    plan = build_plan(
        tiny("demo", "train.precision=bf16", "train.accumulate=2", "optim.clip=3.0", "optim.clip_terms=15", "seed=7",
             "train.iterations=90", "train.val_every=30", "train.log_every=10", "optim.lr=0.02")
    )  # fmt: skip
    assert (plan.precision, plan.accumulate, plan.clip, plan.clip_terms) == (torch.bfloat16, 2, 3.0, 15.0)
    assert (plan.seed, plan.iterations, plan.batch_size, plan.log_every) == (7, 90, 2, 10)
    assert plan.val_every == plan.save_every == 30
    assert build_plan(tiny("demo", "train.save_every=5")).save_every == 5
    assert plan.lr(0) == 0.02
    assert plan.lr(45) == pytest.approx(0.02 * 0.5**0.9)
    assert build_plan(tiny("demo", "optim.min_lr=0.01", "train.iterations=90")).lr(89) == 0.01
