"""Tiny sizes, to try the commands in seconds: what is measured at them means nothing."""

from benchmarks import contrast, growth, loss, networks, step


def shrink() -> None:
    """Make every case of `benchmarks` tiny, in this process, on every device."""
    contrast.CHANNELS, contrast.SIZES, contrast.KINDS = 32, {"64x128": (8, 12)}, (("l2", "other_groups"),)
    loss.CHANNELS, loss.WIDTHS, loss.FEW, loss.SIZES = 64, (16,), 4, {"45x45": (5, 5)}
    loss.case.__kwdefaults__ = {"channels": 64}
    networks.WIDTHS = (4, 8, 12, 16)
    step.CHANNELS, step.CASES = (16, 64), dict.fromkeys(("cpu", "cuda"), (((128, 128), 2),))
    growth.CHANNELS = dict.fromkeys(("cpu", "cuda"), (4, 32))
    growth.IMAGES, growth.POSITIONS = [((8, 8), 1)], [((8, 8), 1)]
