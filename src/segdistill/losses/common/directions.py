"""Few directions of a wide map: a fixed orthonormal projection, fitted to what a teacher says or drawn."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segdistill.ops import Distance, check_choice, check_count
from segdistill.util import ArgumentError

Basis = Literal["pca", "random"]


class Directions(nn.Module):
    r"""Project maps (B, C, H, W) to ``width`` directions, :math:`Q t` with orthonormal rows :math:`Q Q^T = I`.

    ``"pca"``: the principal directions of the uncentred second moment :math:`M = \frac{1}{n} \sum t t^T`, which keep as
    much of the energy :math:`\sum t^2` as so many directions can. They are fitted once, before training, and rotated
    among themselves until all have equal energy: an L1 distance is not blind to a rotation, and as eigenvectors come,
    the first channel group would hold nearly all of it. ``"random"``: drawn; it keeps ``width / C`` of the energy.

    Args:
        channels: C.
        width: Number of directions, below C.
        basis: ``"pca"`` or ``"random"``.

    Attributes:
        matrix: Q, (width, C); zeros before it is fitted.
        energy: Scalar, share of the energy that the directions keep, in [0, 1].

    Raises:
        ArgumentError: If there is no such basis, or the width is no whole number from 1 to C - 1.

    Example:
        >>> directions = Directions(8, 2, "random")
        >>> tuple(directions(torch.rand(1, 8, 4, 4)).shape), float(directions.energy)
        ((1, 2, 4, 4), 0.25)
    """

    matrix: Tensor
    energy: Tensor

    def __init__(self, channels: int, width: int, basis: Basis) -> None:
        super().__init__()
        check_choice("basis", basis, get_args(Basis))
        check_count("width", width)
        if width >= channels:
            raise ArgumentError(
                f"`width` must be below the teacher's {channels} channels; got {width}. None keeps them all."
            )
        self.channels, self.width, self.basis = channels, width, basis
        self._ready = False
        self.register_buffer("matrix", torch.zeros(width, channels))
        self.register_buffer("energy", torch.tensor(width / channels))
        if basis == "random":
            self.matrix = torch.linalg.qr(torch.randn(channels, width)).Q.T.contiguous()

    @property
    def is_fitted(self) -> bool:
        """Whether there is a matrix yet; a GPU is asked only until there is."""
        self._ready = self._ready or bool(self.matrix.any())
        return self._ready

    def shorter(self, distance: Distance) -> Tensor:
        """How much shorter distances between cells are expected to be than between cells of all channels, a scalar.

        An L1 distance grows with the numbers in a cell and with their size, an L2 distance with the energy alone:
        ``sqrt(energy * width / C)`` and ``sqrt(energy)``. The cosine knows neither.
        """
        if distance == "cosine":
            return torch.ones_like(self.energy)
        return (self.energy * (self.width / self.channels if distance == "l1" else 1.0)).sqrt()

    @torch.no_grad()
    def fit(self, moment: Tensor) -> None:
        """Take the principal directions.

        Args:
            moment: M, (C, C), symmetric, of finite numbers.

        Raises:
            ArgumentError: If it is of another size, or has no energy.
        """
        total = moment.diagonal().sum()
        if moment.shape != (self.channels, self.channels) or not moment.isfinite().all() or total <= 0:
            raise ArgumentError(
                f"`moment` must be {self.channels}x{self.channels} finite numbers with some energy; "
                f"got shape {tuple(moment.shape)} and energy {float(total):g}."
            )
        values, vectors = torch.linalg.eigh(moment.double())  # in rising order
        energies, matrix = values[-self.width :].clamp_min(0), vectors[:, -self.width :].T
        self.energy.copy_(energies.sum() / total)
        self.matrix.copy_(equal_energy(matrix, energies))

    def forward(self, x: Tensor) -> Tensor:
        """Project (B, C, H, W) to (B, width, H, W), in the type of the map."""
        if not self.is_fitted:
            raise ArgumentError(
                'directions with basis="pca" must be fitted before they are used: '
                "fit_directions(distiller, teacher, batches)."
            )
        return F.conv2d(x, self.matrix.to(x.dtype)[:, :, None, None])

    def extra_repr(self) -> str:
        """As ``repr`` shows it."""
        return f"{self.channels}, {self.width}, basis={self.basis!r}"


def equal_energy(matrix: Tensor, energies: Tensor) -> Tensor:
    """Rotate orthonormal directions among themselves so that each has the mean of their energies.

    Plane rotations, each of which gives one direction its share: of any numbers with the same mean there is such a
    rotation (Schur 1923, Horn 1954; the order is that of Bendel and Mickey 1978).

    Args:
        matrix: (n, C), the eigenvectors of M as rows.
        energies: (n,), their eigenvalues.
    """
    rotated = matrix.clone()
    moment = torch.diag(energies)
    mean = float(energies.mean())
    rest = list(range(len(energies)))
    while len(rest) > 1:
        diagonal: list[float] = moment.diagonal().tolist()
        low, high = min(rest, key=diagonal.__getitem__), max(rest, key=diagonal.__getitem__)
        a, b, c = diagonal[low], diagonal[high], float(moment[low, high])
        rest.remove(low)
        if b - mean <= 1e-12 * abs(mean) or mean - a <= 1e-12 * abs(mean):
            continue
        # The tangent t for which (a + 2 c t + b t^2) / (1 + t^2) is the mean.
        t = (-c + math.copysign(math.sqrt(max(c * c - (a - mean) * (b - mean), 0.0)), -c or 1.0)) / (b - mean)
        cos = 1 / math.sqrt(1 + t * t)
        turn = torch.tensor([[cos, t * cos], [-t * cos, cos]], dtype=matrix.dtype)
        pair = [low, high]
        rotated[pair] = turn @ rotated[pair]
        moment[pair] = turn @ moment[pair]
        moment[:, pair] = moment[:, pair] @ turn.T
    return rotated
