import json
import os
import signal

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils._pytree import tree_leaves

from segdistill import Distiller, Teacher, Term, store
from segdistill.engine import checkpoint
from segdistill.engine.loop import train
from segdistill.engine.meter import Meter
from segdistill.engine.optim import make_optimizer
from segdistill.engine.signals import Stopped
from segdistill.engine.step import Loop, Plan, set_train_mode
from segdistill.networks import create_network
from segdistill.types import IGNORE_INDEX, Batch, SegOutput
from segdistill.util import NotFiniteError

CLASSES = 3
AF_DCD = {"groups": 2, "patch_size": (2, 2), "pool_size": 1, "reduction": "mean"}  # random mask


def network(width):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Conv2d(width, CLASSES, 1),
    )


class Run:
    """A small distillation whose every ingredient follows from a seed."""

    def __init__(self, folder, **plan):
        torch.manual_seed(0)
        self.folder = folder
        self.teacher = Teacher(network(4), features={"deep": "2"})
        term = Term("af_dcd", layer="deep", weight={"mimic": 0.5, "contrast": 0.1}, options=AF_DCD)
        self.distiller = Distiller(network(4), [Term("kd"), term], features={"deep": "2"}, teacher=self.teacher)
        self.optimizer = make_optimizer(
            self.distiller.parameters(), name="sgd", lr=0.1, momentum=0.9, weight_decay=1e-4
        )
        defaults = {"iterations": 8, "seed": 3, "lr": lambda step: 0.1 * (1 - step / 8), "batch_size": 4}
        defaults |= {"val_every": 3, "save_every": 2, "log_every": 3}
        self.plan = Plan(**defaults | plan)
        self.stop_after = None
        self.steps_seen = []

    def loader(self, start):
        size = self.plan.batch_size // self.plan.accumulate
        for step in range(start, self.plan.iterations):
            generator = torch.Generator().manual_seed(step)
            image = torch.randint(0, 256, (self.plan.batch_size, 3, 8, 8), generator=generator, dtype=torch.uint8)
            target = torch.randint(0, CLASSES, (self.plan.batch_size, 8, 8), generator=generator)
            target[0, : step % 5] = IGNORE_INDEX
            self.steps_seen.append(step)
            if self.stop_after == step:
                os.kill(os.getpid(), signal.SIGTERM)
            for part in range(self.plan.accumulate):
                rows = slice(part * size, (part + 1) * size)
                yield Batch(image[rows], target[rows])

    def validate(self):
        self.distiller.eval()
        weight = self.distiller.student[0].weight.detach().double()
        return {"miou": weight.abs().mean().item(), "per_class_iou": weight.mean((1, 2, 3)).sigmoid().tolist()}

    def go(self, **options):
        self.folder.mkdir(exist_ok=True)
        return train(
            self.distiller, self.teacher, self.loader, [self.optimizer], self.plan, run=self.folder,
            accelerator=Accelerator(cpu=True), validate=self.validate, **options,
        )  # fmt: skip

    def state(self):
        return {name: tensor.clone() for name, tensor in self.distiller.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("stop_after", [0, 2, 5, 7])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_stopped_and_resumed_run_is_bit_identical(tmp_path, stop_after, accumulate):
    whole = Run(tmp_path / "whole", accumulate=accumulate)
    whole.go()

    first = Run(tmp_path / "parts", accumulate=accumulate)
    first.stop_after = stop_after
    if stop_after < 7:
        with pytest.raises(Stopped) as stopped:
            first.go()
        assert (stopped.value.step, stopped.value.signum) == (stop_after + 1, signal.SIGTERM)
    else:
        first.go()  # the signal came in the last step: nothing is left to do
    second = Run(tmp_path / "parts", accumulate=accumulate)
    torch.manual_seed(123)  # a new process has another random state
    second.go(resume=True)
    assert second.steps_seen == list(range(stop_after + 1, 8))
    assert same(second.state(), whole.state())
    for name in (store.LAST, store.BEST):
        one, other = (checkpoint.load(run.folder / name) for run in (second, whole))
        assert same(one.model, other.model)
        assert same(one.optimizer, other.optimizer)
    assert (tmp_path / "parts" / store.METRICS).read_bytes() == (tmp_path / "whole" / store.METRICS).read_bytes()


def test_a_killed_run_does_again_what_was_not_saved(tmp_path):
    whole = Run(tmp_path / "whole")
    whole.go()

    class Killed(BaseException):
        pass

    def die(record):
        if record["step"] == 6 and "val" in record:
            raise Killed

    killed = Run(tmp_path / "killed")
    with pytest.raises(Killed):
        killed.go(on_log=die)
    assert len((tmp_path / "killed" / store.METRICS).read_text().splitlines()) == 4  # 3, val 3, 6, val 6
    again = Run(tmp_path / "killed")
    again.go(resume=True)
    assert again.steps_seen[0] == 4
    assert same(again.state(), whole.state())
    assert (tmp_path / "killed" / store.METRICS).read_bytes() == (tmp_path / "whole" / store.METRICS).read_bytes()


def test_a_checkpoint_that_knows_more_is_continued(tmp_path):
    first = Run(tmp_path / "run")
    first.stop_after = 2
    with pytest.raises(Stopped):
        first.go()
    path = first.folder / store.LAST
    progress = checkpoint.load(path).progress
    progress["run"]["val"] = {"miou": 0.1}  # older versions kept it
    save_file(load_file(path), path, {"format": checkpoint.FORMAT, "progress": json.dumps(progress)})
    second = Run(tmp_path / "run")
    assert second.go(resume=True).step == 8
    assert second.steps_seen == [3, 4, 5, 6, 7]


def test_resume_without_a_checkpoint_starts_anew(tmp_path):
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    (run.folder / store.METRICS).write_text('{"step": 1, "loss": 9}\n')
    assert run.go(resume=True).step == 8
    assert next(store.read_records(run.folder / store.METRICS))["step"] == 3


def test_best_is_the_best_and_last_is_the_last(tmp_path):
    run = Run(tmp_path / "run")
    scores = iter([0.2, 0.5, 0.4])
    run.validate = lambda: {"miou": next(scores)}
    progress = run.go()
    assert (progress.best_step, progress.best_miou) == (6, 0.5)
    assert checkpoint.load(run.folder / store.BEST).progress["run"]["step"] == 6
    assert checkpoint.load(run.folder / store.LAST).progress["run"]["step"] == 8


def test_metrics_hold_the_means_since_the_last_line(tmp_path):
    run = Run(tmp_path / "run", log_every=1, val_every=100, save_every=100)
    run.go()
    every = [r for r in store.read_records(run.folder / store.METRICS) if "loss" in r]
    other = Run(tmp_path / "other", log_every=4, val_every=100, save_every=100)
    other.go()
    grouped = [r for r in store.read_records(other.folder / store.METRICS) if "loss" in r]
    assert [r["step"] for r in grouped] == [4, 8]
    assert grouped[0]["loss"] == pytest.approx(sum(r["loss"] for r in every[:4]) / 4, rel=1e-12)
    weights = run.distiller.weights
    assert every[0]["loss"] == pytest.approx(sum(weights[k] * v for k, v in every[0]["parts"].items()), rel=1e-5)
    assert every[2]["lr"] == pytest.approx(0.1 * (1 - 2 / 8))


def test_timing_is_apart_from_metrics(tmp_path):
    run = Run(tmp_path / "run")
    run.go()
    assert "seconds" not in (run.folder / store.METRICS).read_text()
    timing = list(store.read_records(run.folder / store.TIMING))
    assert [r["step"] for r in timing] == [3, 3, 6, 6, 8, 8]
    assert all(r["images_per_s"] > 0 for r in timing[::2])


def test_micro_batches_give_the_gradient_of_the_whole_batch(tmp_path):
    results = []
    for accumulate in (1, 4):
        run = Run(tmp_path / str(accumulate), accumulate=accumulate, freeze_bn=True, iterations=2, lr=lambda step: 0.1)
        term = Term("af_dcd", layer="deep", weight={"mimic": 0.5, "contrast": 0.1}, options=AF_DCD | {"mask": "centre"})
        torch.manual_seed(0)
        student = network(4)
        student[3] = nn.Identity()
        run.distiller = Distiller(student, [Term("kd"), term], features={"deep": "2"}, teacher=run.teacher).double()
        run.teacher.double()
        run.loader = (lambda run, loader: lambda s: (Batch(b.image.double() / 255, b.target) for b in loader(s)))(
            run, run.loader
        )
        run.optimizer = make_optimizer(run.distiller.parameters(), name="sgd", lr=0.1, momentum=0.9, weight_decay=1e-4)
        run.go()
        results.append(run.state())
    for name in results[0]:
        torch.testing.assert_close(results[0][name], results[1][name], msg=name)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_term_and_step(tmp_path, value):
    run = Run(tmp_path / "run", log_every=1)

    class Breaks(nn.Module):
        on = "features"
        calls = 0

        def forward(self, student, teacher):
            self.calls += 1
            return (student - teacher).square().mean() * (value if self.calls == 5 else 1.0)

    run.distiller = Distiller(
        network(4), [Term("kd"), Term(Breaks(), layer="deep")], features={"deep": "2"}, teacher=run.teacher
    )
    run.optimizer = make_optimizer(run.distiller.parameters(), name="sgd", lr=0.01, momentum=0.9, weight_decay=0)
    with pytest.raises(NotFiniteError, match=r"`Breaks` is not finite at step 5\. The last good checkpoint is kept"):
        run.go()
    saved = checkpoint.load(run.folder / store.LAST)
    assert saved.progress["run"]["step"] == 4
    assert all(torch.isfinite(tensor).all() for tensor in saved.model.values())
    assert all(torch.isfinite(parameter).all() for parameter in run.distiller.parameters())
    for line in (run.folder / store.METRICS).read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_clipping_bounds_the_gradient_of_the_terms_alone(tmp_path):
    run = Run(tmp_path / "run", iterations=1, clip_terms=1e-6, lr=lambda step: 1.0)
    run.optimizer = make_optimizer(run.distiller.parameters(), name="sgd", lr=1.0, momentum=0, weight_decay=0)
    before = run.state()
    run.go()
    moved = {name: (tensor - before[name]).norm() for name, tensor in run.state().items() if tensor.is_floating_point()}
    assert sum(v**2 for k, v in moved.items() if k.startswith("losses.")) ** 0.5 <= 1.01e-6
    assert moved["network.module.0.weight"] > 1e-4


def test_batch_norm_can_be_frozen():
    net = network(4)
    set_train_mode(net, freeze_bn=True)
    assert net.training
    assert not net[1].training
    assert net[3].training
    set_train_mode(net, freeze_bn=False)
    assert net[1].training


def test_bf16_runs_the_student_in_low_precision_and_the_losses_in_float32(tmp_path):
    run = Run(tmp_path / "run", precision=torch.bfloat16, iterations=2)
    seen = []
    run.distiller.register_forward_hook(lambda m, a, output: seen.append(output))
    run.go()
    assert isinstance(seen[0].student, SegOutput)
    assert seen[0].student.logits.dtype == torch.bfloat16
    assert all(part.dtype == torch.float32 for part in seen[0].parts.values())
    assert all(p.dtype == torch.float32 for p in run.distiller.parameters())


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["deeplabv3_mobilenetv2_035", "pspnet_resnet18"])
def test_channels_last_reaches_every_map(name, precision):
    options = {"output_stride": 16, "mean": [0.5] * 3, "std": [0.2] * 3, "bgr": True}
    student, big = (create_network(name, num_classes=CLASSES, options=options) for _ in range(2))
    teacher = Teacher(big, precision=precision, fold_bn=True)
    terms = [Term("kd"), Term("cwd", layer="layer4"), Term("fitnet", layer="layer3", weight=1.0)]
    distiller = Distiller(student, terms, teacher=teacher)
    strayed, seen = [], 0

    def look(module, given, made):
        nonlocal seen
        for map_ in tree_leaves((given, made)):
            if isinstance(map_, torch.Tensor) and map_.dim() == 4 and map_.shape[1] > 1 and map_[0, 0].numel() > 1:
                seen += 1
                if not map_.is_contiguous(memory_format=torch.channels_last):
                    strayed.append((type(module).__name__, tuple(map_.shape)))

    for network in (distiller, teacher):
        network.to(memory_format=torch.channels_last)
        for module in network.modules():
            module.register_forward_hook(look)
    plan = Plan(1, 0, lambda step: 0.1, batch_size=2, precision=precision, channels_last=True)
    optimizer = make_optimizer(distiller.parameters(), name="sgd", lr=0.1, momentum=0.9, weight_decay=0.0)
    loop = Loop(distiller, distiller, teacher, [optimizer], plan, Accelerator(cpu=True))
    image = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    loop.step(0, 0.1, iter([Batch(image, torch.zeros(2, 64, 96, dtype=torch.int64))]), Meter(torch.device("cpu")), None)
    assert seen > 100
    assert strayed == []
