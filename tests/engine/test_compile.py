"""A compiled student and teacher must compute what the plain ones do, and leave nothing behind."""

import os
import shutil

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from segdistill import Distiller, Teacher, Term
from segdistill.engine.meter import Clock, Meter
from segdistill.engine.optim import make_optimizers
from segdistill.engine.step import Loop, Plan, eager
from segdistill.measure.split import split_step
from segdistill.types import Batch, SegOutput

needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="torch.compile on a CPU needs a C++ compiler"
)
quiet = pytest.mark.filterwarnings("ignore")  # torch warns about itself while it traces


class Net(nn.Module):
    """Publishes one feature; another can be taken from a layer by name."""

    def __init__(self, width):
        super().__init__()
        self.feature_channels, self.num_classes = {"deep": width}, 5
        self.low = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.high, self.head = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, 5, 1)

    def forward(self, image):
        deep = self.high(self.low(image)).relu()
        return SegOutput(self.head(deep), None, {"deep": deep})


def make_loop(*, compiled, device="cpu", precision=torch.float32):
    torch.manual_seed(0)
    options = {"features": {"deep": "deep", "low": "low.2"}, "mean": (0.5,) * 3, "std": (0.2,) * 3}
    student = Net(4)
    if compiled:
        student.compile()
    teacher = Teacher(Net(8), fold_bn=True, compile=compiled, precision=precision, **options).to(device)
    terms = [Term("kd"), Term("fitnet", layer="deep", weight=1.0), Term("at", layer="low", weight=1.0)]
    distiller = Distiller(student, terms, teacher=teacher, **options).to(device)
    optimizers = make_optimizers(distiller, name="sgd", lr=0.1, momentum=0.9, weight_decay=1e-3)
    plan = Plan(iterations=9, seed=0, lr=lambda step: 0.1, batch_size=2, precision=precision)
    return Loop(distiller, distiller, teacher, optimizers, plan, Accelerator(cpu=device == "cpu"))


def batches():
    generator = torch.Generator().manual_seed(0)
    while True:
        image = torch.randint(0, 256, (2, 3, 16, 24), generator=generator, dtype=torch.uint8)
        yield Batch(image, torch.randint(0, 5, (2, 16, 24), generator=generator))


def gradients(loop):
    batch = next(batches())
    device = loop.accelerator.device
    loop.distiller.train()
    image = batch.image.to(device) / 255
    output = loop.distiller(image, batch.target.to(device), loop.teacher(image))
    output.loss.backward()
    found = {name: parameter.grad.clone() for name, parameter in loop.distiller.named_parameters()}
    loop.distiller.zero_grad()
    return output, found


def new_graphs():
    """How many graphs were compiled since the last call."""
    count = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    torch._dynamo.utils.counters.clear()
    return count


@needs_compiler
@quiet
def test_loss_gradients_and_steps_are_those_of_the_plain_networks():
    plain, compiled = make_loop(compiled=False), make_loop(compiled=True)
    assert plain.distiller.state_dict().keys() == compiled.distiller.state_dict().keys()
    new_graphs()
    (expected, wanted), (output, found) = gradients(plain), gradients(compiled)
    assert new_graphs() == 2  # student and teacher
    torch.testing.assert_close(output.parts, expected.parts)
    torch.testing.assert_close(output.student.features, expected.student.features)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)

    there, here, meter = batches(), batches(), Meter(torch.device("cpu"))
    for step in range(3):  # the second one measures the gradient of each part, too
        clock = Clock(0, 0, 2, torch.device("cpu")) if step == 1 else None
        norms = [loop.step(step, 0.1, data, meter, clock) for loop, data in ((plain, there), (compiled, here))]
        assert norms[0] == (None if clock is None else pytest.approx(norms[1], rel=1e-3))
    split_step(plain, 3, 0.1, there, lambda *_: None)
    split_step(compiled, 3, 0.1, here, lambda *_: None)
    torch.testing.assert_close(
        compiled.distiller.state_dict(), plain.distiller.state_dict(), rtol=1e-3, atol=1e-5
    )  # fmt: skip
    assert new_graphs() == 0

    with eager():  # other sizes, as in an evaluation
        for width in (20, 28, 36):
            image = torch.rand(1, 3, 16, width)
            assert compiled.distiller(image, None, compiled.teacher(image)).loss > 0
    assert new_graphs() == 0


@pytest.mark.gpu
@quiet
def test_on_a_gpu_in_low_precision(cuda):
    plain, compiled = (make_loop(compiled=c, device="cuda", precision=torch.bfloat16) for c in (False, True))
    there, here, meter = batches(), batches(), Meter(cuda)
    for step in range(3):
        plain.step(step, 0.1, there, meter, None)
        compiled.step(step, 0.1, here, meter, None)
    torch.testing.assert_close(compiled.distiller.state_dict(), plain.distiller.state_dict(), rtol=0.1, atol=0.02)
