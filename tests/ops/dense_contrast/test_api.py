import logging
import re
import subprocess
import sys

import pytest
import torch

from segdistill.ops import dense_contrast

torch.set_num_threads(1)


def test_needs_torch_alone():
    blocked = [
        "torchvision",
        "timm",
        "triton",
        "plotly",
        "accelerate",
        "omegaconf",
        "pydantic",
        "torchmetrics",
    ]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked}));"
        "import torch, segdistill.ops; from segdistill.losses import AfDCDLoss;"
        "x = torch.rand(1, 16, 4, 4); print(AfDCDLoss(16, 16, pool_size=1)(x, x).contrast.item())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0


def test_the_teacher_gets_no_gradient():
    student = torch.rand(1, 16, 4, 4, requires_grad=True)
    teacher = torch.rand(1, 16, 4, 4, requires_grad=True)
    dense_contrast(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("distance", ["l1", "l2", "cosine"])
def test_low_precision_is_computed_in_float32_also_under_autocast(dtype, distance):
    student = (100 * torch.rand(1, 64, 4, 4)).to(dtype).requires_grad_()
    teacher = (100 * torch.rand(1, 64, 4, 4)).to(dtype)
    expected = dense_contrast(student.float(), teacher.float(), distance=distance)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = dense_contrast(student, teacher, distance=distance)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected, rtol=0, atol=0)
    value.backward()
    assert student.grad.dtype == dtype
    assert student.grad.isfinite().all()


def test_a_map_smaller_than_a_patch_gives_a_zero_with_a_graph_and_one_warning(caplog):
    student = torch.rand(2, 16, 3, 41, dtype=torch.bfloat16, requires_grad=True)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            value = dense_contrast(student, torch.rand(2, 16, 3, 41))
    assert value.item() == 0
    assert value.dtype == torch.float32
    value.backward()
    assert student.grad.abs().max() == 0
    assert len(caplog.messages) == 1
    assert "4x4" in caplog.text
    assert "3x41" in caplog.text
    assert "patch_size" in caplog.text


def test_no_patch_gives_zero_even_where_the_student_is_not_finite():
    student = torch.full((1, 16, 2, 2), torch.inf, requires_grad=True)
    value = dense_contrast(student, torch.rand(1, 16, 2, 2))
    value.backward()
    assert value.item() == 0
    assert student.grad.abs().max() == 0


def test_patch_size_may_be_a_list():
    student, teacher = torch.rand(2, 1, 16, 4, 4)
    assert dense_contrast(student, teacher, patch_size=[2, 2]) == dense_contrast(student, teacher, patch_size=(2, 2))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"groups": 3}, "`groups` must divide the number of channels; got 3 groups of 16 channels."),
        ({"groups": 0}, "`groups` must be an integer of at least 1; got 0."),
        ({"groups": 2.0}, "`groups` must be an integer of at least 1; got 2.0."),
        ({"temperature": 0.0}, "`temperature` must be a finite number above 0; got 0.0."),
        ({"temperature": float("nan")}, "`temperature` must be a finite number above 0; got nan."),
        ({"temperature": float("inf")}, "`temperature` must be a finite number above 0; got inf."),
        ({"patch_size": (0, 4)}, "`patch_size` must be an integer of at least 1; got 0."),
        ({"patch_size": 4}, "`patch_size` must be a pair (height, width); got 4."),
        ({"patch_size": (4, 4, 4)}, "`patch_size` must be a pair (height, width); got (4, 4, 4)."),
        ({"distance": "cosin"}, "got 'cosin'."),
        ({"negatives": "other_group"}, "got 'other_group'."),
        ({"impl": "referenc"}, "got 'referenc'."),
        (
            {"groups": 1},
            "`negatives` must leave every cell something to differ from; got 'other_groups' with 1",
        ),
        ({"groups": 1, "negatives": "channel"}, "Use more groups or larger patches."),
        ({"patch_size": (1, 1), "negatives": "spatial"}, "patches of 1x1"),
        ({"patch_size": (1, 1), "negatives": "omni", "groups": 1}, "patches of 1x1"),
    ],
)
def test_bad_options_are_named(options, sentence):
    student, teacher = torch.rand(2, 1, 16, 4, 4)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        dense_contrast(student, teacher, **options)


@pytest.mark.parametrize(
    ("student", "teacher", "sentence"),
    [
        (torch.rand(1, 16, 4, 4), torch.rand(1, 32, 4, 4), "`teacher` must have the shape of `student`"),
        (torch.rand(1, 16, 4, 4), torch.rand(1, 16, 4, 5), "`teacher` must have the shape of `student`"),
        (torch.rand(2, 16, 4, 4), torch.rand(1, 16, 4, 4), "got batches of 2 and 1"),
        (torch.rand(0, 16, 4, 4), torch.rand(0, 16, 4, 4), "at least one"),
        (
            torch.rand(16, 4, 4),
            torch.rand(1, 16, 4, 4),
            "`student` must be a floating-point map (B, C, H, W)",
        ),
        (torch.rand(1, 16, 4, 4), torch.ones(1, 16, 4, 4).int(), "`teacher` must be a floating-point map"),
        (
            torch.rand(1, 16, 4, 4),
            torch.rand(1, 16, 4, 4, device="meta"),
            "must be on one device; got cpu and meta",
        ),
    ],
)
def test_bad_maps_are_named(student, teacher, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        dense_contrast(student, teacher)


def test_spatial_takes_any_number_of_groups():
    student, teacher = torch.rand(2, 1, 10, 4, 4)
    values = {dense_contrast(student, teacher, groups=g, negatives="spatial").item() for g in (1, 3, 16)}
    assert len(values) == 1


def test_groups_of_one_and_omni_are_spatial():
    student, teacher = torch.rand(2, 1, 10, 4, 4)
    assert dense_contrast(student, teacher, groups=1, negatives="omni") == dense_contrast(
        student, teacher, negatives="spatial"
    )


def test_patches_of_one_position_are_channel():
    student, teacher = torch.rand(2, 1, 16, 4, 4)
    expected = dense_contrast(student, teacher, negatives="channel")
    for negatives in ("omni", "other_groups"):
        value = dense_contrast(student, teacher, negatives=negatives, patch_size=(1, 1))
        torch.testing.assert_close(value, expected)


def test_shapes_can_be_tried_on_the_meta_device():
    maps = torch.rand(1, 16, 4, 4, device="meta")
    assert dense_contrast(maps, maps).shape == ()
