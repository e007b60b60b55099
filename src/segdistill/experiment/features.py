"""Features of a sample of pixels, kept beside a run for the embedding plots of its report."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from segdistill.engine import to_device
from segdistill.store import CLASS_ARRAY, IMAGE_ARRAY, feature_array
from segdistill.types import IGNORE_INDEX, Batch, SegOutput
from segdistill.util import seal, write_atomic

NUM_IMAGES = 32
PIXELS_PER_IMAGE = 32
PREFERRED = ("layer4", "head")  # what the distillation acts on, and what the classifier sees


@torch.no_grad()
def write_pixel_features(
    path: Path, networks: Mapping[str, Callable[[Tensor], SegOutput]], loader: Iterable[Batch], device: torch.device
) -> None:
    """Write the features of every network at the same labelled pixels of the same images.

    The pixels follow from the labels alone, so that all runs on one set hold the same ones. Each is drawn from
    a class that its image holds, all classes alike, or road and sky would be all there is to see.

    Args:
        path: safetensors file: ``<role>.<feature>`` (N, C) float16, ``class`` and ``image`` (N,) int64.
        networks: By role, from images in [0, 1] to an output. Of its features ``layer4`` and ``head`` are kept,
            all if it has neither, the logits if it has none.
        loader: Whole images, one a batch.
        device: Where to run.
    """
    kept: dict[str, list[Tensor]] = {}
    for index, cpu_batch in enumerate(loader):
        batch = to_device(cpu_batch, device)
        classes, points = _draw(batch.target[0], seed=index)
        if not len(classes):
            continue
        kept.setdefault(CLASS_ARRAY, []).append(classes)
        kept.setdefault(IMAGE_ARRAY, []).append(torch.full_like(classes, index))
        for role, network in networks.items():
            for name, feature in _maps(network(batch.image)).items():
                kept.setdefault(feature_array(role, name), []).append(_read(feature, points))
    tensors = {name: torch.cat(parts).cpu().contiguous() for name, parts in kept.items()}
    write_atomic(path, seal(save(tensors)))


def _draw(target: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Classes (n,) and positions (n, 2) as (x, y) in [-1, 1], of pixels drawn evenly over the classes."""
    labels = target.cpu()
    present = labels[labels != IGNORE_INDEX].unique()  # type: ignore[no-untyped-call]
    generator = torch.Generator().manual_seed(seed)
    classes, points = [], []
    for turn in range(PIXELS_PER_IMAGE if len(present) else 0):
        wanted = present[turn % len(present)]
        rows, columns = (labels == wanted).nonzero(as_tuple=True)
        pick = int(torch.randint(len(rows), (), generator=generator))
        classes.append(wanted)
        points.append(torch.stack([columns[pick], rows[pick]]))
    if not classes:
        return torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2)
    size = torch.tensor([labels.shape[1], labels.shape[0]])
    return torch.stack(classes), (2 * torch.stack(points) + 1) / size - 1


def _maps(output: SegOutput) -> dict[str, Tensor]:
    chosen = {name: output.features[name] for name in PREFERRED if name in output.features}
    return chosen or output.features or {"logits": output.logits}


def _read(feature: Tensor, points: Tensor) -> Tensor:
    """Values (n, C) of a map (1, C, h, w) at its positions nearest to the points."""
    grid = points.to(feature.device, torch.float32)[None, None]
    values = F.grid_sample(feature.float(), grid, mode="nearest", padding_mode="border", align_corners=False)
    return values[0, :, 0].T.to(torch.float16)
