"""Other ways to make Af-DCD cheap than few directions: what each costs, and what students learn by it.

    python -m benchmarks.cheaper cost --out benchmarks/results/cheaper.json
    python -m benchmarks.cheaper train RECIPE data.root=FOLDER teacher.weights=RUN --folder runs/compare/cheaper

Each way is a small subclass of `AfDCDLoss` that stands here and not in the package: an option is only kept if it pays.
``cost`` measures one forward and backward pass beside the loss as it is. ``train`` compares students by
`segdistill.compare`; the recipe's settings of ``af_dcd`` hold for every way.
"""

import argparse
import json
from functools import wraps
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import segdistill as sd
from benchmarks.harness import environment, measure
from benchmarks.loss import total
from segdistill.losses import LOSSES, METHODS, AfDCDLoss, AfDCDTerms, match_size
from segdistill.losses.common.generator import draw_keep
from segdistill.recipe import load_recipe

STEPS = 240  # of the trainings, for the way that waits for their last half
MAPS = {"student_channels": 512, "channels": 2048, "height": 64, "width": 128, "batch": 1}


class Light(AfDCDLoss):
    """Another generator in place of the two wide convolutions."""

    @wraps(AfDCDLoss.__init__)  # a recipe's options are checked against it
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.generator = self.build(self.align.out_channels)  # type: ignore[assignment]

    def build(self, channels: int) -> nn.Module:
        """The generator, (B, C, H, W) to the same shape."""
        raise NotImplementedError

    def regenerate(self, student: Tensor, teacher: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor]:
        """As the package's, without its folded first convolution."""
        projected = self.align(match_size(student, teacher))
        shown = projected * (draw_keep(self.mask, self.mask_ratio, teacher) if keep is None else keep)
        return self.generator(shown), teacher.detach()


class Separable(Light):
    """Each 3x3 convolution is one of every channel on its own and one of every position on its own."""

    def build(self, channels: int) -> nn.Module:
        """Depthwise, pointwise, ReLU, depthwise, pointwise."""

        def pair() -> tuple[nn.Module, nn.Module]:
            return nn.Conv2d(channels, channels, 3, padding=1, groups=channels), nn.Conv2d(channels, channels, 1)

        return nn.Sequential(*pair(), nn.ReLU(), *pair())


class Bottleneck(Light):
    """One 3x3 convolution at an eighth of the channels."""

    def build(self, channels: int) -> nn.Module:
        """1x1 to an eighth, ReLU, 3x3, ReLU, 1x1 back."""
        few = channels // 8
        return nn.Sequential(
            nn.Conv2d(channels, few, 1), nn.ReLU(), nn.Conv2d(few, few, 3, padding=1), nn.ReLU(),
            nn.Conv2d(few, channels, 1),
        )  # fmt: skip


class Projected(Light):
    """No mask and no generator: the projected map itself is compared."""

    def regenerate(self, student: Tensor, teacher: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor]:
        """The student's map at the teacher's width."""
        return self.align(match_size(student, teacher)), teacher.detach()

    def build(self, channels: int) -> nn.Module:
        """Nothing."""
        return nn.Identity()


class Hidden(AfDCDLoss):
    """Mimicking counts hidden positions alone."""

    def forward(self, student: Tensor, teacher: Tensor, *, keep: Tensor | None = None) -> AfDCDTerms:
        """As `AfDCDLoss.forward`, its error a mean over what was hidden."""
        keep = draw_keep(self.mask, self.mask_ratio, teacher) if keep is None else keep
        self.hidden = 1 - keep
        return super().forward(student, teacher, keep=keep)

    def mimic(self, generated: Tensor, teacher: Tensor, reduction: str) -> Tensor:
        """The mean over hidden positions, whatever the reduction."""
        error = F.mse_loss(generated * self.hidden, teacher * self.hidden)
        return error / self.hidden.mean().clamp(min=1e-6)


class Sometimes(AfDCDLoss):
    """Only at some steps; the count of steps is part of the state."""

    calls: Tensor
    share: ClassVar[float] = 0.5  # of the steps

    @wraps(AfDCDLoss.__init__)  # a recipe's options are checked against it
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    @property
    def sometimes_silent(self) -> tuple[str, ...]:
        """Both parts, which is no fault of a run."""
        return self.parts

    def counts(self, call: int) -> bool:
        """Whether this step counts."""
        raise NotImplementedError

    def forward(self, student: Tensor, teacher: Tensor, *, keep: Tensor | None = None) -> AfDCDTerms:
        """As `AfDCDLoss.forward`, or zeros."""
        call = int(self.calls)
        self.calls += 1
        if self.counts(call):
            return super().forward(student, teacher, keep=keep)
        nothing = student.sum() * 0
        return AfDCDTerms(nothing, nothing)


class SecondStep(Sometimes):
    """At every second step, with twice the weight."""

    def counts(self, call: int) -> bool:
        """Even steps."""
        return call % 2 == 0

    def forward(self, student: Tensor, teacher: Tensor, *, keep: Tensor | None = None) -> AfDCDTerms:
        """Twice what the step would have."""
        mimic, contrast = super().forward(student, teacher, keep=keep)
        return AfDCDTerms(2 * mimic, 2 * contrast)


class LastHalf(Sometimes):
    """In the last half of the training alone."""

    def counts(self, call: int) -> bool:
        """From the middle on."""
        return call >= STEPS // 2


WAYS: dict[str, type[AfDCDLoss]] = {
    "separable": Separable,
    "bottleneck": Bottleneck,
    "projected": Projected,
    "hidden": Hidden,
    "second_step": SecondStep,
    "last_half": LastHalf,
}


def main() -> None:
    """One of the two."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cheaper", description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    costs = what.add_parser("cost")
    costs.add_argument("--out", type=Path, required=True)
    costs.add_argument("--turns", type=int, default=3)
    trains = what.add_parser("train")
    trains.add_argument("recipe")
    trains.add_argument("overrides", nargs="*")
    trains.add_argument("--seeds", type=int, default=2)
    trains.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    trains.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    if given.what == "cost":
        found = {"environment": environment(torch.device("cpu")), "turns": given.turns, **cost(given.turns)}
        given.out.write_text(json.dumps(found, indent=1) + "\n")
        print(json.dumps(found, indent=1))
    else:
        train(given.recipe, given.overrides, given.ways, given.seeds, given.folder)


def cost(turns: int, maps: dict[str, int] = MAPS) -> dict[str, Any]:
    """Milliseconds and memory of every way whose single step differs, and of the loss as it is, on one pair of maps."""
    student = torch.randn(maps["batch"], maps["student_channels"], maps["height"], maps["width"], requires_grad=True)
    teacher = torch.randn(maps["batch"], maps["channels"], maps["height"], maps["width"]).relu()
    alike = {name: way for name, way in WAYS.items() if not issubclass(way, Sometimes)}
    losses = {
        name: way(maps["student_channels"], maps["channels"], reduction="mean")
        for name, way in ({"af_dcd": AfDCDLoss} | alike).items()
    }
    leaves = [student, *(p for loss in losses.values() for p in loss.parameters())]
    ways = {name: lambda loss=loss: total(loss, student, teacher) for name, loss in losses.items()}
    return {"maps": maps, **measure(ways, leaves, turns=turns, device=torch.device("cpu"))}


def train(recipe: str, overrides: list[str], ways: list[str], seeds: int, folder: Path) -> None:
    """A student by each way, with the recipe's settings of ``kd`` and ``af_dcd``."""
    settings = load_recipe(recipe, overrides).terms["af_dcd"].model_dump(mode="json", exclude_unset=True)
    names = {f"af_dcd_{name}": WAYS[name] for name in ways}
    LOSSES.update(names)
    METHODS.update({name: {"kd": {}, name: settings} for name in names})
    sd.compare(recipe, list(names), seeds=seeds, overrides=overrides, out=folder, announce=print)


if __name__ == "__main__":
    main()
