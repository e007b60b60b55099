"""Latency of the networks of a comparison, all measured in turn, so that a slow moment is slow for all."""

from pathlib import Path

from segdistill import store
from segdistill.data import eval_loader, evenly
from segdistill.experiment import build_datasets, make_accelerator, recipe_of
from segdistill.measure import latencies
from segdistill.prediction import load_predictor
from segdistill.store import first_runs, read_comparison

ROUNDS = 20


def measure_latencies(folder: Path, student: str | None = None) -> None:
    """Write milliseconds for one image, batch 1, of every row's first seed and the teacher into ``comparison.json``."""
    comparison = read_comparison(folder)
    networks = first_runs(comparison)
    if networks.keys() <= comparison.ms_per_image.keys():
        return
    recipe = recipe_of(next(iter(networks.values())))
    device = make_accelerator(recipe).device
    train_set, val_set, test_set = build_datasets(recipe)
    loader = eval_loader(evenly(test_set or val_set or train_set, 1), image_scale=recipe.data.image_scale)
    own = {name: None if name == "teacher" else student for name in networks}
    segments = {
        name: load_predictor(run, student=own[name]).to(device).network.segment for name, run in networks.items()
    }
    measured = latencies(segments, loader, device, repeats=ROUNDS)
    store.write_record(folder / store.COMPARISON, comparison.model_copy(update={"ms_per_image": measured}))
