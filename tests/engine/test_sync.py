"""The host must not wait for the device in a step that does not log: on a GPU every wait is a gap in its work.

On a CPU the operations that would make it wait are caught by name.
"""

import pytest
import torch
from accelerate import Accelerator
from tests.waits import watched
from torch import nn

from segdistill import Distiller, Teacher, Term
from segdistill.distill import distiller as distiller_module
from segdistill.engine.evaluation import evaluate
from segdistill.engine.meter import Meter
from segdistill.engine.optim import make_optimizers
from segdistill.engine.step import Loop, Plan
from segdistill.types import IGNORE_INDEX, Batch


def network(width):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(width, 5, 1)
    )


def terms():
    feature = {"groups": 2, "pool_size": 1, "patch_size": (2, 2), "reduction": "mean", "mask": "none"}
    return [
        Term("kd"),
        Term("kd", options={"labelled_only": True}, name="labelled"),
        Term("cwd", layer="deep"),
        Term("mgd", layer="deep", weight=1.0, options={"mask": "none"}),
        Term("af_dcd", layer="deep", weight={"mimic": 1.0, "contrast": 0.1}, options=feature),
    ]


def make_loop(device="cpu", *, alone=False, low=False, **plan):
    torch.manual_seed(0)
    options = {"features": {"deep": "2"}, "mean": (0.5,) * 3, "std": (0.2,) * 3}
    teacher = None
    if not alone:
        precision = torch.bfloat16 if low else torch.float32
        ready = {"image_mean": (0.0,) * 3, "image_std": (1.0,) * 3}
        teacher = Teacher(network(8), precision=precision, fold_bn=True, **options, **ready).to(device)
    distiller = Distiller(network(4), [] if alone else terms(), teacher=teacher, **options).to(device)
    optimizers = make_optimizers(distiller, name="sgd", lr=0.1, momentum=0.9, weight_decay=1e-4)
    numbers = Plan(
        iterations=9, seed=0, lr=lambda step: 0.1, batch_size=4, clip=1.0, clip_terms=1.0, channels_last=True,
        precision=torch.bfloat16 if low else torch.float32, **plan,
    )  # fmt: skip
    return Loop(distiller, distiller, teacher, optimizers, numbers, Accelerator(cpu=device == "cpu"))


def batches(pin=False):
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(8):
        target = torch.randint(0, 5, (2, 16, 24), generator=generator)
        target[:, :3] = IGNORE_INDEX
        image = torch.randint(0, 256, (2, 3, 16, 24), generator=generator, dtype=torch.uint8)
        made.append(Batch(image.pin_memory(), target.pin_memory()) if pin else Batch(image, target))
    return iter(made)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_that_does_not_log_reads_nothing(alone, low, accumulate, monkeypatch):
    monkeypatch.setattr(Meter, "check", lambda self: None)  # at every step on a CPU alone, where it is free
    monkeypatch.setattr(distiller_module, "check_labels", lambda *_: None)  # likewise
    loop, meter, ready = make_loop(alone=alone, low=low, accumulate=accumulate), Meter(torch.device("cpu")), batches()
    with watched() as found:
        for step in range(3):
            loop.step(step, 0.1, ready, meter, None)
    assert found == []
    assert len(meter.names) == (2 if alone else 8)
    with watched() as found:
        meter.flush(loop.accelerator)
    assert found == ["tolist"]  # the one host copy of all parts


def test_an_evaluation_reads_nothing_before_its_end():
    net = network(4).eval()
    with watched() as found:
        total = evaluate(net, batches(), num_classes=5, device=torch.device("cpu"))
    assert found == []
    assert total.sum() == 8 * 2 * 13 * 24


def test_the_watch_sees_what_waits():
    values = torch.arange(4.0)
    for wait, names in [
        (lambda: values[values > 1], ["index"]),
        (lambda: values.sum().item(), ["item", "_local_scalar_dense"]),
        (lambda: bool(values[0] > 1), ["__bool__", "is_nonzero", "_local_scalar_dense"]),
        (lambda: values.nonzero(), ["nonzero"]),
        (lambda: values.tolist(), ["tolist"]),
        (lambda: torch.equal(values, values), ["equal"]),
        (lambda: values.masked_select(values > 1), ["masked_select"]),
    ]:
        with watched() as found:
            wait()
        assert set(found) & set(names), (names, found)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")  # a prototype, torch says
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("low", [False, True])
def test_a_step_on_a_gpu_does_not_wait(alone, low, cuda):
    loop, meter, ready = make_loop("cuda", alone=alone, low=low), Meter(cuda), batches(pin=True)
    loop.step(0, 0.1, ready, meter, None)  # allocates, picks kernels
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(1, 4):
            loop.step(step, 0.1, ready, meter, None)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert meter.flush(loop.accelerator)["loss"] > 0
