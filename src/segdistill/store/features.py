"""Reads the features of a sample of pixels that a run kept, and chooses among them."""

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from segdistill.store.names import CLASS_ARRAY, IMAGE_ARRAY, feature_array
from segdistill.util import RunError

Array: TypeAlias = NDArray[Any]
PixelFeatures: TypeAlias = dict[str, Array]
"""By name: features (N, C), and ``class`` and ``image`` (N,)."""

_MOST_PIXELS, _MOST_CHANNELS, _MOST_BYTES = 4096, 4096, 512 * 2**20  # what the analysis does in a minute


def read_pixel_features(path: Path) -> PixelFeatures:
    """Read ``analysis.safetensors``.

    Returns:
        ``student.<feature>`` and, of distilled runs, ``teacher.<feature>`` (N, C) floating point; ``class``, the train
        id, and ``image``, its number, (N,) integers. Empty if there is no such file, or no pixel in it.

    Raises:
        RunError: If the file is damaged, too large, or its arrays are not of these shapes and types.
    """
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES >> 20} MiB")
        pixels: PixelFeatures = load_file(path)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is not a readable safetensors file ({error}). Delete it to do without.") from None
    if not pixels:
        return {}
    count = pixels[CLASS_ARRAY].size if CLASS_ARRAY in pixels and IMAGE_ARRAY in pixels else -1
    if not 0 <= count <= _MOST_PIXELS:
        raise RunError(
            f"{path} must hold `class` and `image` of at most {_MOST_PIXELS} pixels. Delete it to do without."
        )
    for name, array in pixels.items():
        if name in (CLASS_ARRAY, IMAGE_ARRAY):
            what = "an integer from 0 on"
            fits = array.shape == (count,) and array.dtype.kind == "i" and not (array < 0).any()
        else:
            what = f"features of 1 to {_MOST_CHANNELS} channels"
            fits = array.ndim == 2 and len(array) == count and 1 <= array.shape[1] <= _MOST_CHANNELS
            fits = fits and array.dtype.kind == "f"
        if not fits:
            raise RunError(
                f"{path}: `{name[:80]}` must hold {what} for each of {count} pixels; "
                f"got {array.dtype} of shape {array.shape}. Delete the file to do without."
            )
    return pixels if count else {}


def feature_of(pixels: PixelFeatures, role: str, *preferred: str) -> Array | None:
    """The features (N, C) of a network, as float64: the first preferred one that it has, else the last by name.

    Args:
        pixels: As `read_pixel_features` returns them.
        role: ``"student"`` (the trained network, be it a teacher) or ``"teacher"``.
        preferred: Names of features, for example ``"head"``.

    Returns:
        None if it has no features. Where they are not finite they are NaN.

    Example:
        >>> pixels = {"class": np.zeros(1, int), "student.logits": np.ones((1, 2))}
        >>> feature_of(pixels, "student", "head"), feature_of(pixels, "teacher", "head")
        (array([[1., 1.]]), None)
    """
    names = sorted(name for name in pixels if name.startswith(feature_array(role, "")))
    if not names:
        return None
    name = next((wanted for each in preferred if (wanted := feature_array(role, each)) in names), names[-1])
    features = pixels[name].astype(np.float64)
    features[~np.isfinite(features)] = np.nan
    return features
