"""Whether the fast path gives the reference's numbers. Where it does not, nothing is measured or reported.

python -m benchmarks.parity
"""

import argparse
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from benchmarks.reference import PublishedAfDCD, published_contrast
from segdistill.losses import AfDCDLoss
from segdistill.ops import dense_contrast

TOLERANCE = 1e-9  # of float64, relative to the largest number of each result
TOLERANCE_FLOAT32 = 1e-3  # of float32: a near tie of two distances moves a softmax at temperature 0.07


@contextmanager
def full_precision() -> Iterator[None]:
    """TF32 off: on a GPU its ten bits would drown in float32 what is looked for."""
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = False
        yield
    finally:
        for switch, allowed in zip(switches, before, strict=True):
            switch.allow_tf32 = allowed


@full_precision()
def parity(device: torch.device, seed: int = 0) -> dict[str, Any]:
    """Largest relative differences of values and gradients over random settings.

    Raises:
        AssertionError: If one is above the tolerance; the message names the setting.
    """
    torch.manual_seed(seed)
    worst = {"contrast": 0.0, "loss": 0.0, "loss_float32": 0.0}
    for distance, negatives in itertools.product(
        ("l1", "l2", "cosine"), ("other_groups", "omni", "channel", "spatial")
    ):
        student, teacher = torch.randn(2, 2, 24, 9, 8, dtype=torch.float64, device=device)
        options = {"groups": 4, "patch_size": (4, 2), "distance": distance, "negatives": negatives}
        ours = _results(lambda x: dense_contrast(x, teacher, impl="fused", **options), [student])  # noqa: B023
        theirs = _results(lambda x: published_contrast(x, teacher, **options), [student])  # noqa: B023
        worst["contrast"] = max(worst["contrast"], _compare(ours, theirs, TOLERANCE, f"contrast {options}"))
    for student_channels, channels, pool_size, size in (
        (24, 128, 1, (12, 9)),
        (130, 144, 2, (9, 16)),
        (8, 160, 4, (16, 16)),
    ):
        for dtype, name, tolerance in (
            (torch.float64, "loss", TOLERANCE),
            (torch.float32, "loss_float32", TOLERANCE_FLOAT32),
        ):
            theirs_loss = PublishedAfDCD(student_channels, channels, pool_size=pool_size).to(device, dtype)
            ours_loss = AfDCDLoss(student_channels, channels, pool_size=pool_size).to(device, dtype)
            ours_loss.load_state_dict(theirs_loss.state_dict())
            student = torch.randn(2, student_channels, *size, dtype=dtype, device=device)
            teacher = torch.randn(2, channels, *size, dtype=dtype, device=device).relu()
            keep = (torch.rand(2, 1, *size, device=device) < 0.25).to(dtype)
            results = []
            for loss in (ours_loss, theirs_loss):

                def total(x: Tensor, loss: Any = loss) -> Tensor:
                    mimic, contrast = loss(x, teacher, keep=keep)  # noqa: B023
                    return 1e-3 * mimic + contrast

                results.append(_results(total, [student], list(loss.parameters())))
            found = _compare(*results, tolerance, f"loss {student_channels}->{channels} at {size} in {dtype}")
            worst[name] = max(worst[name], found)
    return worst


def _results(compute: Any, inputs: list[Tensor], parameters: list[Tensor] | None = None) -> list[Tensor]:
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    value = compute(*leaves)
    return [value.detach(), *torch.autograd.grad(value, [*leaves, *(parameters or [])])]


def _compare(ours: list[Tensor], theirs: list[Tensor], tolerance: float, what: str) -> float:
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        difference = ((a - b).abs().max() / b.abs().max().clamp_min(1e-12)).item()
        assert difference <= tolerance, f"{what}: relative difference {difference:.1e}, above {tolerance:.0e}."
        worst = max(worst, difference)
    return worst


def main() -> None:
    """Compare, print the largest differences."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    found = parity(torch.device(parser.parse_args().device))
    print("parity:", ", ".join(f"{name} {value:.1e}" for name, value in found.items()))


if __name__ == "__main__":
    main()
