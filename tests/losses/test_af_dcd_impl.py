"""How Af-DCD is computed: every implementation, at every precision, gives the numbers of the reference."""

import copy
import itertools

import pytest
import torch
from benchmarks.harness import extra_peak
from benchmarks.reference import PublishedAfDCD

from segdistill.losses import AfDCDLoss, AfDCDTerms
from segdistill.ops import dense_contrast

torch.set_num_threads(1)


def test_under_autocast_the_generator_alone_is_in_its_precision():
    torch.manual_seed(0)
    loss = AfDCDLoss(24, 32, mask="none", groups=4, pool_size=1, reduction="mean")
    student, teacher = torch.randn(2, 24, 8, 8), 300 * torch.randn(2, 32, 8, 8)
    expected = loss(student, teacher)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = loss(student, teacher)
        generated, _ = loss.regenerate(student, teacher, None)
    assert generated.dtype == torch.bfloat16
    assert terms.mimic.dtype == terms.contrast.dtype == torch.float32
    torch.testing.assert_close(terms, expected, rtol=1e-3, atol=0)
    # Both losses, of maps up to a thousand, keep the digits that bfloat16 has not.
    exact = AfDCDTerms(
        (generated.double() - teacher.double()).square().mean(),
        dense_contrast(generated.double(), teacher.double(), groups=4) / 4,
    )
    torch.testing.assert_close(tuple(term.double() for term in terms), tuple(exact), rtol=1e-6, atol=0)


SETTINGS = list(
    itertools.product(
        ("random", "centre", "none"),
        ("plain", "enhanced"),
        (None, 4),
        ("other_groups", "omni", "channel", "spatial"),
    )
)


@pytest.mark.parametrize(
    ("mask", "generator", "pool_size", "negatives", "distance"),
    [(*setting, ("l1", "l2", "cosine")[i % 3]) for i, setting in enumerate(SETTINGS)],
)
@pytest.mark.parametrize("impl", ["auto", "fused"])
def test_every_implementation_has_the_values_and_gradients_of_the_reference(
    mask, generator, pool_size, negatives, distance, impl
):
    torch.manual_seed(0)
    options = {"mask": mask, "generator": generator, "pool_size": pool_size, "negatives": negatives}
    loss = AfDCDLoss(24, 128, **options, distance=distance, temperature=0.5).double()
    # So large that differences to the teacher have either sign: otherwise the pulls of l1 cancel, down to rounding.
    student = 100 * torch.randn(1, 24, 18, 17, dtype=torch.float64)
    student.requires_grad_()
    teacher = torch.randn(1, 128, 18, 17, dtype=torch.float64)
    inputs = {"student": student, **dict(loss.named_parameters())}
    results = []
    for loss.impl in ("reference", impl):
        torch.manual_seed(1)
        terms = loss(student, teacher)
        results.append((terms, [torch.autograd.grad(t, list(inputs.values()), retain_graph=True) for t in terms]))
    (expected, expected_gradients), (terms, gradients) = results
    torch.testing.assert_close(terms, expected, rtol=1e-9, atol=0)
    for part, of_part, expected_of_part in zip(terms._fields, gradients, expected_gradients, strict=True):
        for name, gradient, true in zip(inputs, of_part, expected_of_part, strict=True):
            assert (gradient - true).abs().max() <= 1e-9 * true.abs().max(), (part, name)


# Rounding, 1e-16 or 1e-7 a step, grows where a step turns the sign of a difference or what a ReLU or a maximum passes.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_a_training_run_is_that_of_the_reference(dtype, tolerance):
    torch.manual_seed(0)
    images = torch.randn(2, 3, 16, 16, dtype=dtype)
    teacher = torch.randn(2, 128, 16, 16, dtype=dtype)
    start = torch.nn.Conv2d(3, 16, 3, padding=1).to(dtype)
    loss = AfDCDLoss(16, 128, pool_size=2, reduction="mean").to(dtype)
    traces = []
    for impl in ("reference", "fused"):
        student, criterion = copy.deepcopy(start), copy.deepcopy(loss)
        criterion.impl = impl
        optimizer = torch.optim.SGD([*student.parameters(), *criterion.parameters()], 0.05, momentum=0.9)
        torch.manual_seed(1)
        trace = []
        for _ in range(25):
            terms = criterion(student(images), teacher)
            optimizer.zero_grad()
            (terms.mimic + 0.1 * terms.contrast).backward()
            optimizer.step()
            trace.append(torch.stack(terms).detach())
        traces.append(torch.stack(trace))
    assert traces[0][-1, 1] < 0.9 * traces[0][0, 1]  # it does learn
    torch.testing.assert_close(traces[1], traces[0], rtol=tolerance, atol=0)


def test_fused_is_refused_where_there_is_no_fused_form():
    maps = torch.rand(1, 16, 16, 16, device="meta")
    loss = AfDCDLoss(16, 16, impl="fused").to("meta")
    with pytest.raises(RuntimeError, match="there is none for the device 'meta'"):
        loss(maps, maps)


@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_shapes_can_be_tried_on_the_meta_device(impl):
    maps = torch.rand(1, 16, 16, 16, device="meta")
    assert [term.shape for term in AfDCDLoss(16, 16, impl=impl).to("meta")(maps, maps)] == [(), ()]


def test_float64_maps_are_computed_in_float64():
    terms = AfDCDLoss(3, 16)(torch.rand(1, 3, 16, 16).double(), torch.rand(1, 16, 16, 16))
    assert terms.mimic.dtype == terms.contrast.dtype == torch.float64


@pytest.mark.parametrize(("size", "batch", "share"), [(16, 1, 0.77), (32, 1, 0.75), (32, 2, 0.71)])
def test_on_a_cpu_it_takes_less_memory_than_the_published_way(size, batch, share):
    torch.manual_seed(0)
    options = {"pool_size": 4, "negatives": "spatial"}  # a contrast so small that it is not compiled
    student, teacher = torch.randn(batch, 128, size, size, requires_grad=True), torch.randn(batch, 512, size, size)

    def peak(loss):
        return extra_peak(lambda: sum(loss(student, teacher)), [student, *loss.parameters()], torch.device("cpu"))

    # Both hold the gradients by the parameters, which are most of it.
    assert peak(AfDCDLoss(128, 512, **options)) <= share * peak(PublishedAfDCD(128, 512, **options))
