import pytest
from tests.reports.tables.cases import row

from segdistill.metrics import paired
from segdistill.reports import Row


@pytest.fixture
def compared():
    """A row with every field that a table shows, one of a method that failed, one with hardly anything."""
    alone, kd, cwd = {0: 0.50, 1: 0.51, 2: 0.52}, {0: 0.58, 1: 0.595, 2: 0.60}, {0: 0.57, 1: 0.57, 2: 0.58}
    full = row(
        protocol="val, 100 images", miou=0.59166, miou_std=0.0104, boundary_iou=0.3, boundary_f=0.45, alone_miou=0.51,
        teacher_miou=0.7, gap_closed=0.42982, vs_alone=paired(kd, alone), against="cwd", vs_other=paired(kd, cwd),
        params=620_000, ms_per_image=6.21, steps=300, seconds=63.4, images_per_s=40.04, peak_memory_mb=1234.5,
    )  # fmt: skip
    return [full, row("mgd", failed=("The loss is not finite.", "again")), Row("none", "student", miou=0.51)]
