"""Latency of the networks of a comparison, all measured in turn, so that a slow moment is slow for all."""

from pathlib import Path

from segdistill import rundir
from segdistill.artefacts import latencies
from segdistill.build import build_datasets, load_predictor
from segdistill.data import eval_loader, evenly
from segdistill.reports import first_runs, read_comparison
from segdistill.run import recipe_of
from segdistill.scoring import make_accelerator

ROUNDS = 20


def measure_latencies(folder: Path) -> None:
    """Write milliseconds for one image, batch 1, of every row's first seed and the teacher into ``comparison.json``."""
    comparison = read_comparison(folder)
    networks = first_runs(comparison)
    if networks.keys() <= comparison.ms_per_image.keys():
        return
    recipe = recipe_of(next(iter(networks.values())))
    device = make_accelerator(recipe).device
    train_set, val_set, test_set = build_datasets(recipe)
    loader = eval_loader(evenly(test_set or val_set or train_set, 1), image_scale=recipe.data.image_scale)
    segments = {name: load_predictor(run).to(device).segmenter() for name, run in networks.items()}
    measured = latencies(segments, loader, device, repeats=ROUNDS)
    path = folder / rundir.COMPARISON
    rundir.write_json(path, {**rundir.read_json(path), "ms_per_image": measured})
