"""One thread per test process, and small trained networks that many tests need."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # also for the processes that tests start
os.environ["COLUMNS"] = "200"  # rich must not break lines that tests look at
for variable in ("FORCE_COLOR", "RANK", "WORLD_SIZE", "LOCAL_RANK"):
    os.environ.pop(variable, None)

import pytest
import torch

from segdistill.labels import STREETS
from segdistill.models import create_model, save_student

torch.set_num_threads(1)

SMALL = "deeplabv3_mobilenetv2_035"


@pytest.fixture(scope="session")
def save_network(tmp_path_factory):
    """Save an untrained small network for a label table; the same table gives the same file."""
    saved = {}

    def save(table=STREETS):
        if table not in saved:
            saved[table] = tmp_path_factory.mktemp("network") / "student.safetensors"
            with torch.random.fork_rng():
                torch.manual_seed(0)
                network = create_model(SMALL, num_classes=table.num_classes, output_stride=16)
            save_student(saved[table], network, labels_json=table.to_json())
        return saved[table]

    return save
