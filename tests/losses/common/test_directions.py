"""Few directions: orthonormal, of the most energy, equal among themselves, and never of another kind by mistake."""

import re

import pytest
import torch

from segdistill.losses.common.directions import Directions, equal_energy

torch.set_num_threads(1)


def moment(channels, *, seed=0, rank=None):
    """Of numbers whose energy falls from channel to channel and whose mean is not zero."""
    torch.manual_seed(seed)
    cells = torch.randn(500, rank or channels, dtype=torch.float64) * torch.logspace(0, -2, rank or channels) + 0.5
    mixed = cells @ torch.randn(rank or channels, channels, dtype=torch.float64)
    return mixed.T @ mixed / len(mixed)


@pytest.mark.parametrize("basis", ["pca", "random"])
@pytest.mark.parametrize("width", [1, 2, 7, 19])
def test_rows_are_orthonormal(basis, width):
    directions = Directions(20, width, basis).double()
    if basis == "pca":
        directions.fit(moment(20))
    product = directions.matrix @ directions.matrix.T
    torch.testing.assert_close(product, torch.eye(width, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("width", [1, 2, 7, 19])
def test_no_other_directions_keep_more_energy(width):
    """They span the first eigenvectors, which is the most that so many can keep (Fan 1949)."""
    found = moment(20)
    directions = Directions(20, width, "pca").double()
    directions.fit(found)
    kept = (directions.matrix @ found @ directions.matrix.T).diagonal()
    values = torch.linalg.eigvalsh(found).flip(0)
    torch.testing.assert_close(kept.sum(), values[:width].sum())
    torch.testing.assert_close(directions.energy, values[:width].sum() / values.sum())


@pytest.mark.parametrize("width", [2, 7, 16])
def test_all_directions_have_equal_energy(width):
    found = moment(20)
    directions = Directions(20, width, "pca").double()
    directions.fit(found)
    kept = (directions.matrix @ found @ directions.matrix.T).diagonal()
    torch.testing.assert_close(kept, kept.mean().expand(width), rtol=1e-6, atol=0)


def test_directions_beyond_the_rank_are_still_orthonormal():
    directions = Directions(12, 6, "pca").double()
    directions.fit(moment(12, rank=3))
    torch.testing.assert_close(directions.matrix @ directions.matrix.T, torch.eye(6, dtype=torch.float64))
    torch.testing.assert_close(directions.energy, torch.ones((), dtype=torch.float64))


def test_equal_energies_stay_as_they_are():
    matrix = torch.eye(3, 5, dtype=torch.float64)
    assert torch.equal(equal_energy(matrix, torch.full((3,), 2.0, dtype=torch.float64)), matrix)


def test_a_map_is_projected_cell_by_cell():
    directions = Directions(6, 2, "random")
    x = torch.randn(2, 6, 3, 4)
    y = directions(x)
    for b, i, j in ((0, 0, 0), (1, 2, 3)):
        torch.testing.assert_close(y[b, :, i, j], directions.matrix @ x[b, :, i, j])
    assert directions(x.bfloat16()).dtype == torch.bfloat16


def test_the_matrix_is_looked_at_once(monkeypatch):
    """At every step it would make a GPU's host wait."""
    directions = Directions(6, 2, "random")
    x = torch.randn(1, 6, 2, 2)
    first = directions(x)
    monkeypatch.setattr(torch.Tensor, "any", lambda _: pytest.fail("looked again"))
    assert torch.equal(directions(x), first)


def test_they_are_state_and_no_parameters():
    directions, other = Directions(20, 4, "pca"), Directions(20, 4, "pca")
    directions.fit(moment(20))
    assert not list(directions.parameters())
    other.load_state_dict(directions.state_dict())
    x = torch.randn(1, 20, 2, 2)
    assert torch.equal(other(x), directions(x))
    assert other.energy == directions.energy


@pytest.mark.parametrize("basis", ["pca", "random"])
def test_distances_are_shorter_by_what_is_said(basis):
    """Of isotropic cells, where the expectation can be written down; L1 within the noise of 4000 pairs."""
    torch.manual_seed(0)
    cells = torch.randn(4000, 96, dtype=torch.float64)
    cells[:, 24:] *= 0.05
    directions = Directions(96, 24, basis).double()
    if basis == "pca":
        directions.fit(cells.T @ cells)
        cells = cells @ torch.linalg.qr(torch.randn(96, 96, dtype=torch.float64)).Q  # dense, as features are
        directions.fit(cells.T @ cells)
    few = cells @ directions.matrix.T
    for distance, power in (("l1", 1), ("l2", 2)):
        ratio = (few[1:] - few[:-1]).norm(p=power, dim=1).mean() / (cells[1:] - cells[:-1]).norm(p=power, dim=1).mean()
        if basis == "pca":
            torch.testing.assert_close(ratio, directions.shorter(distance), rtol=0.05, atol=0)
    assert directions.shorter("cosine") == 1


def test_drawn_directions_keep_their_share_of_the_energy():
    torch.manual_seed(0)
    cells = torch.randn(2000, 64) * torch.logspace(0, -1, 64)
    shares = [
        Directions(64, 16, "random")(cells[..., None, None]).square().sum() / cells.square().sum() for _ in range(50)
    ]
    assert torch.stack(shares).mean() == pytest.approx(0.25, rel=0.05)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: Directions(8, 8, "pca"),
            "`width` must be below the teacher's 8 channels; got 8. None keeps them all.",
        ),
        (lambda: Directions(8, 0, "pca"), "`width` must be an integer of at least 1; got 0."),
        (lambda: Directions(8, 2, "svd"), "`basis` must be one of 'pca', 'random'; got 'svd'."),
        (lambda: Directions(8, 2, "pca")(torch.rand(1, 8, 2, 2)), "must be fitted before they are used"),
        (lambda: Directions(8, 2, "pca").fit(torch.zeros(8, 8)), "with some energy; got shape (8, 8) and energy 0."),
        (lambda: Directions(8, 2, "pca").fit(torch.eye(4)), "must be 8x8 finite numbers"),
        (lambda: Directions(2, 1, "pca").fit(torch.tensor([[1.0, float("nan")], [0.0, 1.0]])), "finite numbers"),
    ],
)
def test_errors_are_sentences(call, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call()
