"""One thread per test process, and small networks on disk that many tests need."""

import os

import pytest
import torch
from accelerate.state import AcceleratorState
from tests.store.fake_runs import make_run, three_runs

from segdistill import networks
from segdistill.data import STREETS_LABELS

__all__ = ["make_run", "three_runs"]  # fixtures

SMALL = "deeplabv3_mobilenetv2_035"
UNASKED = "teacher.check=false"  # a teacher of a few steps knows nothing, which a run would refuse

torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start
os.environ["HF_HUB_OFFLINE"] = "1"  # hubs are never asked
os.environ["COLUMNS"] = "200"  # rich must not break lines that tests look at


@pytest.fixture
def cuda():
    """The GPU; the test is skipped where there is none.

    accelerate keeps the first device that a process asked for, so it is made to forget it before and after.
    """
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    AcceleratorState._reset_state(reset_partial_state=True)
    yield torch.device("cuda")
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def save_network(tmp_path_factory):
    """Save an untrained small network for a label table; the same table gives the same file."""
    saved = {}

    def save(table=STREETS_LABELS):
        if table not in saved:
            saved[table] = tmp_path_factory.mktemp("network") / "student.safetensors"
            with torch.random.fork_rng():
                torch.manual_seed(0)
                network = networks.create_network(SMALL, num_classes=table.num_classes, options={"output_stride": 16})
            network.labels = table
            networks.save_network(saved[table], network)
        return saved[table]

    return save
