"""What few directions of a trained teacher's map hold, and how long distances in them are.

    python -m benchmarks.directions RECIPE data.root=FOLDER teacher.weights=RUN --out benchmarks/results/directions.json

For each number of directions: the share of the energy that they keep; the energy of the channel group that has most,
over that of the one that has least, as `Directions` rotates them and if eigenvectors were dealt to the groups in turn;
and the mean L1 distance between cells of a patch, as a share of that of all channels, beside what `Directions.shorter`
expects.
"""

import argparse
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from benchmarks.harness import commit
from segdistill.engine import to_device
from segdistill.experiment.session import build
from segdistill.experiment.training import Runner
from segdistill.losses.common.directions import Directions
from segdistill.recipe import load_recipe

IMAGES = 96
WIDTHS = (16, 32, 64, 128, 256)
GROUPS = 16
PATCH = 4
PATCHES = 400


def main() -> None:
    """Measure one layer of one teacher."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.directions", description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--layer", default="layer4")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    maps = maps_of(given.recipe, given.overrides, given.layer)
    found = {
        "commit": commit(),
        "recipe": Path(given.recipe).stem,
        "layer": given.layer,
        "images": IMAGES,
        **study(maps),
    }
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


@torch.no_grad()
def maps_of(recipe: str, overrides: list[str], layer: str) -> Tensor:
    """The teacher's maps (B, C, h, w) of the first training crops, in float64."""
    loaded = load_recipe(recipe, [*overrides, "train.device=cpu"])
    built = build(loaded)
    runner = Runner(loaded, built, Path(), Accelerator(cpu=True))
    maps: list[Tensor] = []
    with closing(runner.batches(0)) as batches:
        while sum(map(len, maps)) < IMAGES:
            output = next(iter(built.teachers.values()))(to_device(next(batches), runner.device).image)
            maps.append(output.features[layer].double())
    return torch.cat(maps)[:IMAGES]


def study(maps: Tensor) -> dict[str, Any]:
    """Everything about one set of maps."""
    channels = maps.shape[1]
    cells = maps.movedim(1, -1).flatten(0, -2)
    moment = cells.T @ cells / len(cells)
    vectors = torch.linalg.eigh(moment).eigenvectors.flip(1).T
    whole = _distance(maps)
    rows = []
    for width in [width for width in WIDTHS if width < channels]:
        fitted, drawn = (Directions(channels, width, basis).double() for basis in ("pca", "random"))
        fitted.fit(moment)
        dealt = vectors[[i for group in range(GROUPS) for i in range(group, width, GROUPS)]]
        rows.append(
            {
                "width": width,
                "energy": float(fitted.energy),
                "uneven": _uneven(fitted(maps)),
                "uneven if dealt": _uneven(torch.einsum("wc,bchx->bwhx", dealt, maps)),
                "distance": _distance(fitted(maps)) / whole,
                "distance expected": float(fitted.shorter("l1")),
                "distance, drawn": _distance(drawn(maps)) / whole,
                "distance expected, drawn": float(drawn.shorter("l1")),
            }
        )
    rounded = [{key: round(value, 3) for key, value in row.items()} for row in rows]
    return {"channels": channels, "groups": GROUPS, "rows": rounded}


def _uneven(maps: Tensor) -> float:
    energies = maps.square().mean((0, 2, 3)).reshape(GROUPS, -1).sum(1)
    return float(energies.max() / energies.min())


def _distance(maps: Tensor) -> float:
    """Mean L1 distance between cells of one group at two positions of a patch."""
    height, width = (side // PATCH * PATCH for side in maps.shape[-2:])
    cut = maps[..., :height, :width].unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)
    cells = cut.movedim(1, 3).flatten(0, 2).unflatten(1, (GROUPS, -1)).flatten(3).transpose(2, 3)
    chosen = cells[torch.randperm(len(cells), generator=torch.Generator().manual_seed(0))[:PATCHES]]
    distances = torch.cdist(chosen, chosen, p=1)
    return float(distances[..., ~torch.eye(PATCH**2, dtype=torch.bool)].mean())


if __name__ == "__main__":
    main()
