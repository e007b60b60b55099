"""The run lengths in which Label Studio writes strokes of a brush."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_COVERED = 127  # of 255: a pixel at the edge of a stroke belongs to it if half of it is painted


def painted(code: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels that a brush has painted.

    The code is a stream of bits: how many values there are (32 bits), the width of a value and of four kinds of
    lengths, then blocks. A block is one value and how often it comes, or a length and that many values. The values are
    RGBA; alpha says what is painted.

    Args:
        code: Bytes, as numbers.
        size: Height and width.

    Raises:
        ValueError: If the code is damaged or of another size.
    """
    bits = _Bits(bytes(code))
    total = bits.read(32)
    if total != 4 * size[0] * size[1]:
        raise ValueError("the code of a brush has another size than the image")
    width = bits.read(5) + 1
    lengths = [bits.read(4) + 1 for _ in range(4)]
    values = np.zeros(total, np.uint8)
    place = 0
    while place < total:
        repeated = bits.read(1)
        end = place + 1 + bits.read(lengths[bits.read(2)])
        if end > total:
            raise ValueError("the code of a brush is damaged")
        if repeated:
            values[place:end] = bits.read(width) & 255
        else:
            values[place:end] = [bits.read(width) & 255 for _ in range(place, end)]
        place = end
    covered: NDArray[np.bool_] = values.reshape(*size, 4)[..., 3] > _COVERED
    return covered


class _Bits:
    """Reads whole numbers out of a stream of bits, the highest bit first."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def read(self, count: int) -> int:
        first, self._place = self._place, self._place + count
        if self._place > 8 * len(self._content):
            raise ValueError("the code of a brush ends too early")
        last = (self._place + 7) // 8
        window = int.from_bytes(self._content[first // 8 : last], "big")
        return (window >> (8 * last - self._place)) & ((1 << count) - 1)
