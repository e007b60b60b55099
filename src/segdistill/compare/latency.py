"""Latency of the networks of a comparison, all measured in turn, so that a slow moment is slow for all."""

import statistics
import time
from pathlib import Path

import torch

from segdistill import rundir
from segdistill.build import build_datasets, load_predictor
from segdistill.compare.prepare import read_plan
from segdistill.data import eval_loader, evenly
from segdistill.engine.evaluate import to_device
from segdistill.run import recipe_of
from segdistill.scoring import make_accelerator

ROUNDS, WARM_UP = 20, 3


def measure_latencies(folder: Path) -> None:
    """Write milliseconds for one image, batch 1, of every row's first seed and the teacher into ``comparison.json``."""
    plan = read_plan(folder)
    runs = {row["name"]: [folder / run for run in row["runs"]] for row in plan["methods"]}
    if plan["teacher"] == "teacher":
        runs["teacher"] = [folder / "teacher"]
    firsts = {name: next(filter(rundir.is_complete, group), None) for name, group in runs.items()}
    networks = {name: run for name, run in firsts.items() if run is not None}
    if not networks or networks.keys() <= plan.get("ms_per_image", {}).keys():
        return
    measured = _measure(networks)
    rundir.write_json(folder / rundir.COMPARISON, {**plan, "ms_per_image": measured})


@torch.no_grad()
def _measure(networks: dict[str, Path]) -> dict[str, float]:
    recipe = recipe_of(next(iter(networks.values())))
    device = make_accelerator(recipe).device
    train_set, val_set, test_set = build_datasets(recipe)
    loader = eval_loader(evenly(test_set or val_set or train_set, 1), image_scale=recipe.data.image_scale)
    image = to_device(next(iter(loader)), device).image
    segments = {name: load_predictor(run).to(device).segmenter() for name, run in networks.items()}
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(WARM_UP + ROUNDS):
        for name, segment in segments.items():
            start = time.perf_counter()
            segment(image)
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    return {name: round(1e3 * statistics.median(times[WARM_UP:]), 3) for name, times in seconds.items()}
