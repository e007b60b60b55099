"""Whether a network is fed with the images that its mean and standard deviation are of."""

from segdistill.data import ChannelStatistics
from segdistill.experiment.verdicts import Finding
from segdistill.types import Preprocessing

_FARTHEST = 3.0
"""How far from 0 the mean of a channel may lie once it is normalised; of photographs it is below 1."""
_FLATTEST = 0.2
"""How small its deviation may be; of photographs it is near 1."""


def judge_feeding(statistics: ChannelStatistics, preprocessing: Preprocessing, key: str) -> list[Finding]:
    """Images that look flat to a network: other units than its own, such as 12 of 16 bits, or a mean of 0 to 255.

    Args:
        statistics: Of some training images.
        preprocessing: Of the network.
        key: Where the recipe names the network, for the remedy: ``model``.
    """
    order = slice(None, None, -1 if preprocessing.bgr else 1)
    fed = [
        ((mean - centre) / unit, std / unit)
        for mean, std, centre, unit in zip(
            statistics.mean[order], statistics.std[order], preprocessing.mean, preprocessing.std, strict=True
        )
    ]
    farthest, flattest = max((abs(mean) for mean, _ in fed)), min(std for _, std in fed)
    if farthest <= _FARTHEST and flattest >= _FLATTEST:
        return []
    return [
        Finding(
            "feeding",
            f"The network of `{key}` is fed with images whose channels have means up to {farthest:.2g} from 0 and "
            f"deviations down to {flattest:.2g} once they are normalised; near 0 and 1 are usual.",
            f"Set {' '.join(statistics.overrides).replace('model.', f'{key}.')} for a network that starts at random; "
            "`segdistill check RECIPE --stats` measures all images.",
            fatal=False,
        )
    ]
