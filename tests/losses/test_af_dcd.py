import json
import logging
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.losses.contract import SEED, Contract
from tests.reference.af_dcd import af_dcd_by_loops

from segdistill.losses import AfDCDLoss, AfDCDTerms
from segdistill.losses.common.generator import draw_keep
from segdistill.ops import dense_contrast

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden" / "af_dcd"
SMALL = {"groups": 2, "patch_size": (2, 2), "pool_size": 2}


class TestAfDCD(Contract):
    channels = 2, 4
    fixed = True
    sizes = (1, 1), (3, 5), (5, 9)
    exact = {"impl": "reference"}  # noqa: RUF012
    overflows = True
    parameter_types = torch.float32, torch.bfloat16
    gradcheck_size = 4, 5

    def make(self, **options):
        return AfDCDLoss(2, 4, **SMALL, temperature=0.5, **options)

    def slow(self, loss, student, teacher, labels):
        torch.manual_seed(SEED)
        keep = draw_keep("random", 0.75, teacher)
        options = {"temperature": 0.5, "distance": "l1", "negatives": "other_groups"}
        return af_dcd_by_loops(student, teacher, keep, loss.state_dict(), **SMALL, **options)


def copying_loss(channels, **options):
    """An AfDCDLoss that regenerates a non-negative map exactly."""
    loss = AfDCDLoss(channels, channels, **{"mask": "none", **options})
    for layer in (loss.align, loss.generator.conv1, loss.generator.conv2):
        torch.nn.init.dirac_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    return loss


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.npz")))
def test_equals_the_authors_code_in_value_and_every_gradient(name):
    with np.load(GOLDEN / f"{name}.npz") as stored:
        meta = json.loads(str(stored["meta"]))
        golden = {key: torch.from_numpy(stored[key]) for key in stored.files if key != "meta"}
    loss = AfDCDLoss(**{key: meta[key] for key in meta if key not in ("B", "height", "width")}).double()
    loss.load_state_dict({key: golden[key] for key in loss.state_dict()})
    student = golden["student"].requires_grad_()
    terms = loss(student, golden["teacher"], keep=golden["keep"])
    inputs = {"student": student, **dict(loss.named_parameters())}
    for part, value in terms._asdict().items():
        torch.testing.assert_close(value, golden[part], rtol=1e-10, atol=0)
        gradients = torch.autograd.grad(value, list(inputs.values()), retain_graph=True)
        for key, gradient in zip(inputs, gradients, strict=True):
            expected = golden[f"grad_{part}.{key}"]
            error = (gradient - expected).abs().max() / expected.abs().max()
            assert error < 1e-10, (part, key, error)


def test_there_are_four_golden_files():
    assert len(list(GOLDEN.glob("*.npz"))) == 4


def test_the_centre_mask_is_that_of_the_golden_file():
    with np.load(GOLDEN / "enhanced_centre.npz") as stored:
        student, teacher, keep = (torch.from_numpy(stored[key]) for key in ("student", "teacher", "keep"))
    loss = AfDCDLoss(4, 8, mask="centre", groups=4, generator="enhanced").double()
    assert loss(student, teacher) == loss(student, teacher, keep=keep)
    assert loss(student, teacher) == loss(student, teacher, keep=keep.bool())


@pytest.mark.parametrize(
    ("generator", "layers"),
    [("plain", ["conv1", "conv2"]), ("enhanced", ["conv1", "conv2", "head1", "head2"])],
)
def test_parameter_names_and_shapes(generator, layers):
    shapes = {name: tuple(p.shape) for name, p in AfDCDLoss(5, 32, generator=generator).state_dict().items()}
    expected = {"align.weight": (32, 5, 1, 1), "align.bias": (32,)}
    for layer in layers:
        expected |= {f"generator.{layer}.weight": (32, 32, 3, 3), f"generator.{layer}.bias": (32,)}
    assert shapes == expected


@pytest.mark.parametrize("reduction", ["paper", "mean"])
def test_gradcheck_through_every_parameter(reduction):
    torch.manual_seed(0)
    loss = AfDCDLoss(2, 4, **SMALL, temperature=0.5, reduction=reduction).double()
    names = list(dict(loss.named_parameters()))
    student = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(1, 4, 4, 5, dtype=torch.float64)
    keep = torch.rand(1, 1, 4, 5) < 0.7

    def run(x, *parameters):
        return tuple(
            torch.func.functional_call(loss, dict(zip(names, parameters, strict=True)), (x, teacher), {"keep": keep})
        )

    assert torch.autograd.gradcheck(run, (student, *loss.parameters()))


def test_mimic_is_the_squared_error_per_image_and_zero_where_equal():
    maps = torch.rand(3, 16, 8, 8)
    loss = copying_loss(16, pool_size=None)
    assert loss(maps, maps).mimic == 0
    assert loss(maps + 0.5, maps).mimic.item() == pytest.approx(0.25 * 16 * 8 * 8, rel=1e-5)


@pytest.mark.parametrize("pool_size", [0, 1, None, 2, 3])
def test_contrast_is_the_op_on_pooled_maps(pool_size):
    student, teacher = torch.rand(2, 2, 16, 13, 13)
    value = copying_loss(16, pool_size=pool_size)(student, teacher).contrast
    if pool_size not in (0, 1, None):
        student, teacher = (torch.nn.functional.max_pool2d(x, pool_size) for x in (student, teacher))
    torch.testing.assert_close(value, dense_contrast(student, teacher))


def test_options_reach_the_op():
    student, teacher = torch.rand(2, 1, 16, 6, 6)
    options = {
        "groups": 4,
        "patch_size": [3, 2],
        "temperature": 0.5,
        "distance": "l2",
        "negatives": "omni",
        "impl": "reference",
    }
    value = copying_loss(16, pool_size=0, **options)(student, teacher).contrast
    torch.testing.assert_close(value, dense_contrast(student, teacher, **options))


@pytest.mark.parametrize("negatives", ["other_groups", "omni", "channel", "spatial"])
def test_mean_reduction_is_the_paper_rescaled(negatives):
    student, teacher = torch.rand(2, 2, 16, 8, 12)
    paper, mean = (
        copying_loss(16, pool_size=2, groups=8, reduction=name, negatives=negatives)(student, teacher)
        for name in ("paper", "mean")
    )
    torch.testing.assert_close(mean.mimic, paper.mimic / (16 * 8 * 12))
    torch.testing.assert_close(mean.contrast, paper.contrast / (1 if negatives == "spatial" else 8))


def test_mean_reduction_does_not_depend_on_crop_or_width():
    student, teacher = torch.rand(2, 1, 8, 4, 4)
    loss = copying_loss(8, pool_size=0, groups=4, reduction="mean")
    terms, larger = loss(student, teacher), loss(student.tile(3, 1, 2, 4), teacher.tile(3, 1, 2, 4))
    torch.testing.assert_close(terms, larger)
    wide = copying_loss(24, pool_size=0, groups=4, reduction="mean")(student.tile(1, 3, 1, 1), teacher.tile(1, 3, 1, 1))
    torch.testing.assert_close(wide.mimic, terms.mimic)
    for channels, groups in ((16, 8), (64, 8), (64, 32)):
        blank = torch.zeros(1, channels, 4, 4)
        guess = copying_loss(channels, pool_size=0, groups=groups, reduction="mean")(blank, blank).contrast
        assert guess.item() == pytest.approx(math.log(1 + 16 * (groups - 1)), rel=1e-5)


def test_random_mask_hides_the_ratio_anew_at_every_call_and_follows_the_seed():
    loss = copying_loss(16, pool_size=4, mask="random", mask_ratio=0.75)
    ones, zeros = torch.ones(2, 16, 64, 64), torch.zeros(2, 16, 64, 64)
    for mode in (True, False):
        loss.train(mode)
        torch.manual_seed(3)
        first, second = (loss(ones, zeros).mimic.item() for _ in range(2))
        assert first / (16 * 64 * 64) == pytest.approx(0.25, abs=0.02)
        assert first != second
        torch.manual_seed(3)
        assert loss(ones, zeros).mimic.item() == first


def test_a_given_mask_replaces_the_drawn_one():
    loss = copying_loss(16, mask="random")
    ones, zeros = torch.ones(1, 16, 16, 16), torch.zeros(1, 16, 16, 16)
    keep = torch.zeros(1, 1, 16, 16)
    keep[..., :5, :] = 1
    assert loss(ones, zeros, keep=keep).mimic.item() == 16 * 5 * 16
    assert loss(ones, zeros, keep=keep.bool()).mimic.item() == 16 * 5 * 16


def test_order_of_images_does_not_matter():
    torch.manual_seed(0)
    loss = AfDCDLoss(3, 16, mask="none", pool_size=1)
    student, teacher = torch.rand(3, 3, 4, 8), torch.rand(3, 16, 4, 8)
    order = [2, 0, 1]
    torch.testing.assert_close(loss(student, teacher), loss(student[order], teacher[order]))


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (17, 33), (45, 45)])
@pytest.mark.parametrize("pool_size", [0, 4])
def test_any_size_and_a_single_image_work(size, pool_size):
    loss = AfDCDLoss(3, 16, pool_size=pool_size)
    student = torch.rand(1, 3, *size, requires_grad=True)
    terms = loss(student, torch.rand(1, 16, *size))
    sum(terms).backward()
    assert isinstance(terms, AfDCDTerms)
    assert all(term.isfinite() for term in terms)
    assert (terms.contrast > 0) == (min(size) // max(pool_size, 1) >= 4)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in [student, *loss.parameters()])


def test_a_map_too_small_for_the_contrast_still_mimics_and_warns_once(caplog):
    loss = AfDCDLoss(3, 16)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            terms = loss(torch.rand(1, 3, 3, 95), torch.rand(1, 16, 3, 95))
    assert terms.contrast == 0
    assert terms.mimic > 0
    assert len(caplog.messages) == 1
    assert "pool_size" in caplog.text


def test_training_brings_both_parts_down():
    torch.manual_seed(0)
    loss = AfDCDLoss(8, 16, pool_size=1, groups=4, mask_ratio=0.25, reduction="mean")
    student, teacher = torch.rand(2, 8, 8, 8), torch.rand(2, 16, 8, 8)
    optimizer = torch.optim.Adam(loss.parameters(), 3e-3)
    history = []
    for _ in range(40):
        terms = loss(student, teacher)
        optimizer.zero_grad()
        (terms.mimic + 0.1 * terms.contrast).backward()
        optimizer.step()
        history.append(terms)
    assert history[-1].mimic < 0.5 * history[0].mimic
    assert history[-1].contrast < 0.9 * history[0].contrast


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"groups": 5}, "`groups` must divide the number of channels; got 5 groups of 16 channels."),
        ({"pool_size": -1}, "`pool_size` must be an integer of at least 0; got -1."),
        ({"mask": "center"}, "got 'center'."),
        ({"mask_ratio": 1.0}, "`mask_ratio` must be a share in [0, 1); got 1.0."),
        ({"mask_ratio": "half"}, "`mask_ratio` must be a share in [0, 1); got 'half'."),
        ({"generator": "enhance"}, "got 'enhance'."),
        ({"reduction": "sum"}, "`reduction` must be one of 'paper', 'mean'; got 'sum'."),
        ({"distance": "L1"}, "`distance` must be one of 'l1', 'l2', 'cosine'; got 'L1'."),
        ({"negatives": "spacial"}, "got 'spacial'"),
        ({"temperature": -1}, "`temperature` must be a finite number above 0; got -1."),
        ({"patch_size": (4, 0)}, "`patch_size` must be"),
        ({"impl": "triton"}, "`impl` must be one of 'auto', 'reference', 'fused'; got 'triton'."),
    ],
)
def test_bad_options_fail_at_construction(options, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        AfDCDLoss(8, 16, **options)


def test_bad_widths_fail_at_construction():
    with pytest.raises(ValueError, match="`student_channels` must be an integer of at least 1; got 0"):
        AfDCDLoss(0, 16)
    AfDCDLoss(8, 10, negatives="spatial")  # groups need not divide


@pytest.mark.parametrize(
    ("student", "teacher", "keep", "sentence"),
    [
        ((1, 8, 4, 4), (1, 16, 8, 8), (1, 1, 4, 4), "`keep` must have shape (1, 1, 8, 8)"),
        ((1, 8, 8, 8), (1, 16, 8, 8), (1, 16, 8, 8), "got (1, 16, 8, 8)"),
    ],
)
def test_bad_maps_fail_with_a_sentence(student, teacher, keep, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        AfDCDLoss(8, 16)(torch.rand(student), torch.rand(teacher), keep=None if keep is None else torch.ones(keep))
