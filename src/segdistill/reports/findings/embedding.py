"""Features of the same pixels of several networks: maps by t-SNE, distance to the teacher, self-similarity.

The paper's Figure 4 shows that Af-DCD brings a student's pixels closer to its teacher's and raises mean and variance of
their self-similarity, but neither the paper nor its code defines either measure. What follows is our reading of it.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segdistill.util import ArgumentError

Floats: TypeAlias = NDArray[np.floating[Any]]

_PRINCIPAL = 50


def tsne(features: Floats, seed: int = 0) -> NDArray[np.float32]:
    """Places of pixels on a plane, by t-SNE on their first 50 principal components.

    Deterministic. Only who is near whom has a meaning: neither distances between clumps nor the axes. The authors'
    script draws up to 1000 pixels of each class and sets ``early_exaggeration`` to 100; here it is 12, as usual.

    Args:
        features: (N, C); lines that are not finite are placed at NaN.
        seed: Of the solver.

    Returns:
        (N, 2).

    Example:
        >>> tsne(np.eye(6, dtype=np.float32)).shape
        (6, 2)
    """
    places = np.full((len(features), 2), np.nan, np.float32)
    usable = np.isfinite(features).all(axis=1)
    pixels = _scaled(features[usable])
    if len(pixels) < 4 or not pixels.any():
        places[usable] = 0.0  # nothing to tell apart
        return places
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(pixels) - 1) / 3)
    solver = TSNE(perplexity=perplexity, init="pca", random_state=seed, max_iter=500, n_jobs=1)
    places[usable] = solver.fit_transform(_principal(pixels))
    return places


def distances(student: Floats, teacher: Floats, images: NDArray[np.integer[Any]]) -> NDArray[np.float64] | None:
    """How much of the teacher's pixels a linear map of the student's does not tell (Figure 4a, our reading).

    Students and teachers have different widths, so their pixels cannot be subtracted. A ridge regression from the
    student's pixels to the teacher's is fitted on every second image and measured on the others. The rule is the same
    for every method: of thirteen strengths, the one with the least leave-one-out error on the fitted images.

    Args:
        student: (N, C) features.
        teacher: (N, Ct) features of the same pixels.
        images: (N,) image of each pixel; of one image, pixels are halved instead.

    Returns:
        For each held-out pixel ``||prediction - teacher||^2``, divided by its mean for a prediction that is the mean
        of the fitted pixels: 0 is a perfect map, 1 one that tells nothing. None if there is nothing to fit or measure.

    Raises:
        ValueError: If the lengths differ.

    Example:
        >>> pixels = np.random.default_rng(0).normal(size=(64, 4))
        >>> bool(distances(pixels, pixels @ np.ones((4, 8)), np.arange(64) // 8).max() < 0.01)
        True
    """
    if not len(student) == len(teacher) == len(images):
        raise ArgumentError(
            "`student`, `teacher` and `images` must have one length; "
            f"got {len(student)}, {len(teacher)} and {len(images)}."
        )
    order = np.unique(images, return_inverse=True)[1]
    half = (order if order.any() else np.arange(len(order))) % 2 == 0
    usable = np.isfinite(student).all(axis=1) & np.isfinite(teacher).all(axis=1)
    own, target, fitted = student[usable].astype(np.float64), teacher[usable].astype(np.float64), half[usable]
    if fitted.sum() < 2 or fitted.all():
        return None
    own -= own[fitted].mean(axis=0)
    mean, scale = target[fitted].mean(axis=0), own[fitted].std()
    told: NDArray[np.float64] = np.broadcast_to(mean, target.shape)  # all there is to tell from constant features
    if scale > 0:
        from sklearn.linear_model import RidgeCV

        solver = RidgeCV(alphas=fitted.sum() * np.logspace(-4, 2, 13))
        told = solver.fit(own[fitted] / scale, target[fitted]).predict(own / scale)
    errors = ((told - target) ** 2).sum(axis=1)[~fitted]
    spread = ((target - mean) ** 2).sum(axis=1)[~fitted].mean()
    return errors / spread if spread > 0 else None


def self_similarity(features: Floats, images: NDArray[np.integer[Any]]) -> NDArray[np.float64] | None:
    """Cosines between all pairs of different pixels of one image, over all images (Figure 4b, our reading).

    Args:
        features: (N, C); pixels that are zero or not finite are left out.
        images: (N,) image of each pixel.

    Returns:
        In [-1, 1], one per pair; None if no image has two pixels.

    Example:
        >>> self_similarity(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]), np.array([0, 0, 0])).tolist()
        [1.0, 0.0, 0.0]
    """
    pixels = features.astype(np.float64)
    length = np.linalg.norm(pixels, axis=1)
    usable = np.isfinite(length) & (length > 0)
    unit, images = pixels[usable] / length[usable, None], images[usable]
    found = []
    for image in np.unique(images):
        own = unit[images == image]
        found.append((own @ own.T)[np.triu_indices(len(own), 1)])
    cosines = np.concatenate(found) if found else np.empty(0)
    return np.clip(cosines, -1.0, 1.0) if len(cosines) else None


def _scaled(features: Floats) -> NDArray[np.float64]:
    """Centred, with a largest absolute value of 1, so that nothing overflows."""
    pixels = features.astype(np.float64)
    if not len(pixels):
        return pixels
    pixels -= pixels.mean(axis=0)
    largest = np.abs(pixels).max()
    return pixels / largest if largest > 1e-12 else np.zeros_like(pixels)


def _principal(pixels: NDArray[np.float64]) -> NDArray[np.float32]:
    """From 2 to 50 principal components, of one sign on every machine."""
    _, _, axes = np.linalg.svd(pixels, full_matrices=False)
    axes = axes[:_PRINCIPAL]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    found = np.asarray(pixels @ (axes * signs[:, None]).T, np.float32)
    return found if found.shape[1] > 1 else np.pad(found, ((0, 0), (0, 1)))
