"""Seeds made of what they are for."""


def seed_of(*key: int | str) -> int:
    """A seed of 63 bits for a key: the same on every machine, and unrelated to those of neighbouring keys.

    The key is spelled out and mixed by ``numpy.random.SeedSequence``, whose results NumPy promises never to change.

    Args:
        key: What the seed is for, and the numbers that it depends on. ``(1, 23)`` and ``(12, 3)`` differ.

    Example:
        >>> seed_of("order", 0, 1), seed_of("order", 0, 2)
        (2935928104287224315, 7183625967502440020)
    """
    import numpy as np  # here, since the losses need nothing but torch

    spelled = repr(tuple(part if isinstance(part, str) else int(part) for part in key))
    sequence = np.random.SeedSequence(int.from_bytes(spelled.encode(), "little"))
    return int(sequence.generate_state(1, np.uint64)[0]) >> 1
