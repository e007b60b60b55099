"""Few directions around any two networks: fitted to a teacher's answers, projected as soon as it has answered."""

import pytest
import torch
from torch import nn

from segdistill.distill import Distiller, Term, fit_directions
from segdistill.distill.directions import POSITIONS
from segdistill.networks import Teacher, Teachers
from segdistill.types import SegOutput

torch.set_num_threads(1)

IMAGES, LABELS = torch.rand(2, 3, 16, 24), torch.randint(0, 5, (2, 16, 24))
NARROW = {"width": 4, "mask": "none"}


def network(width=12):
    torch.manual_seed(width)
    return nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, 5, 1))


def teacher(width=12):
    return Teacher(network(width), features={"deep": "0", "late": "1"})


def distiller(*terms, taught_by=None):
    taught_by = taught_by or teacher()
    return Distiller(network(6), list(terms), features={"deep": "0"}, teacher=taught_by)


def mgd(name="mgd", layer="deep", **options):
    return Term("mgd", layer=("deep", layer), name=name, options={**NARROW, **options})


def test_the_moment_is_that_of_all_cells_of_all_batches():
    taught_by = teacher()
    ours = distiller(mgd(), taught_by=taught_by)
    images = torch.rand(5, 3, 16, 24)
    energies = fit_directions(ours, (taught_by(batch) for batch in images.split(2)))
    cells = taught_by(images).features["deep"].double().movedim(1, -1).flatten(0, -2)
    values = torch.linalg.eigvalsh(cells.T @ cells).flip(0)
    assert energies == {"mgd": pytest.approx(float(values[:4].sum() / values.sum()))}
    kept = cells @ ours.losses["mgd"].directions.matrix.double().T
    torch.testing.assert_close(kept.square().sum(0), (values[:4].sum() / 4).expand(4), rtol=1e-4, atol=0)


def test_large_maps_are_looked_at_here_and_there(monkeypatch):
    answer = SegOutput(torch.zeros(1, 5, 1, 1), None, {"deep": torch.rand(1, 12, 4 * POSITIONS, 1)})
    ours = distiller(mgd())
    fit_directions(ours, [answer])
    sparse = answer._replace(features={"deep": answer.features["deep"][:, :, ::4]})
    other = distiller(mgd())
    fit_directions(other, [sparse])
    assert torch.equal(ours.losses["mgd"].directions.matrix, other.losses["mgd"].directions.matrix)


def test_without_such_a_term_no_answer_is_asked_for():
    def never():
        pytest.fail("asked")
        yield

    assert fit_directions(distiller("kd", mgd(width=None)), never()) == {}
    assert fit_directions(distiller(mgd(basis="random")), never()) == {"mgd": pytest.approx(4 / 12)}


def test_a_condensed_answer_teaches_the_same():
    taught_by = teacher()
    ours = distiller("kd", mgd(), mgd("whole", width=None), mgd("late", "late", width=2), taught_by=taught_by)
    said = taught_by(IMAGES)
    fit_directions(ours, [said])
    condensed = ours.condense(said)
    torch.testing.assert_close(ours(IMAGES, LABELS, condensed).parts, ours(IMAGES, LABELS, said).parts)
    assert {name: feature.shape[1] for name, feature in condensed.features.items()} == {
        "deep for mgd": 4, "deep": 12, "late for late": 2,
    }  # fmt: skip


def test_what_no_term_reads_is_left_out():
    taught_by = teacher()
    said = taught_by(IMAGES)
    assert distiller("kd", taught_by=taught_by).condense(said).features == {}
    ours = distiller(mgd(), taught_by=taught_by)
    fit_directions(ours, [said])
    assert list(ours.condense(said).features) == ["deep for mgd"]
    assert set(said.features) == {"deep", "late"}


def test_of_several_teachers_each_keeps_what_is_read_of_it():
    taught_by = Teachers({"one": teacher(), "two": teacher(8)})
    terms = ["kd", Term("mgd", layer=("deep", "late"), teacher="two", options={**NARROW, "width": 3})]
    ours = Distiller(network(6), terms, features={"deep": "0"}, teacher=taught_by)
    said = taught_by(IMAGES)
    assert list(fit_directions(ours, [said])) == ["mgd"]
    condensed = ours.condense(said)
    assert {name: list(output.features) for name, output in condensed.items()} == {"one": [], "two": ["late for mgd"]}
    torch.testing.assert_close(ours(IMAGES, LABELS, condensed).parts, ours(IMAGES, LABELS, said).parts)


def test_a_term_that_was_not_fitted_is_refused():
    taught_by = teacher()
    ours = distiller(mgd(), taught_by=taught_by)
    with pytest.raises(ValueError, match="must be fitted before they are used: fit_directions"):
        ours(IMAGES, LABELS, taught_by(IMAGES))
    with pytest.raises(ValueError, match="some energy"):
        fit_directions(ours, [])
