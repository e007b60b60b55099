"""Networks of your own in every command: these functions build them.

    segdistill compare demo teacher.check=false --student own_networks:small --teacher own_networks:big --methods kd,cwd

Run it in the folder of this file, or install the module. The commands train, check and profile take `--student` and
`--teacher` too; evaluate and predict take `--student` to read back what was trained. A teacher that is worth learning
from loads its weights in its function; this one is random, to show the way.

    python examples/own_networks.py          # the same from Python: seconds on a CPU
"""

import tempfile
from pathlib import Path

from torch import Tensor, nn

import segdistill as sd

TINY = [
    "data.options={num_images: 2, num_train: 2, size: [32, 48]}",
    "data.crop_size=[32,48]",
    "data.batch_size=2",
    "train.iterations=2",
    "train.device=cpu",
    "terms={}",
    "terms.kd.weight=1.0",
    "teacher.check=false",  # a random teacher knows nothing, which a run would refuse
]


class Plain(nn.Module):
    """A body and a classifier, as anybody writes them; nothing in it knows of segdistill."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
        )
        self.classifier = nn.Conv2d(2 * width, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits at a quarter of the size; images come as RGB in [0, 1]."""
        logits: Tensor = self.classifier(self.body(image))
        return logits


def small(num_classes: int) -> nn.Module:
    """A student."""
    return Plain(8, num_classes)


def big(num_classes: int) -> nn.Module:
    """A teacher; `sd.Network` says how it is fed, where that is not RGB in [0, 1]."""
    return sd.Network(Plain(32, num_classes).eval())


def run(folder: Path) -> float:
    """Train and score by place, as the commands do; return the mIoU."""
    trained = sd.train("demo", "own_networks:small", "own_networks:big", overrides=TINY, out=folder / "run")
    return sd.evaluate(trained.folder, student="own_networks:small").miou


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(f"mIoU {100 * run(Path(folder)):.1f} %")
