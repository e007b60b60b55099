"""What an exported file says of itself: one JSON text inside the file, in the place that its format has for such."""

import json
from typing import Any, Final, Literal, NamedTuple

from segdistill.labels import LabelTable
from segdistill.util import ArgumentError, WeightsError

FORMAT: Final = "segdistill-export-1"
EXPORT_KEY: Final = "segdistill"
"""Name of the text inside the file."""

ImageLayout = Literal["float", "uint8"]
ExportOutput = Literal["logits", "ids"]


class ExportFacts(NamedTuple):
    """How to use an exported network.

    Attributes:
        labels: Its classes, by train id: names and colours.
        layout: What an image is: ``"float"``: (B, C, H, W) in [0, 1]; ``"uint8"``: (B, H, W, C), 0 to 255. RGB.
        output: ``"logits"``: (B, K, H, W) at the size of the image; ``"ids"``: (B, H, W), int64.
        size: (H, W) that the file insists on; None: any.
        channels: C.
        image_scale: The graph resizes the image by this factor before it looks.
        about: Strings for people: recipe, score, protocol, preprocessing.
    """

    labels: LabelTable
    layout: ImageLayout
    output: ExportOutput
    size: tuple[int, int] | None
    channels: int
    image_scale: float
    about: dict[str, str]

    def text(self) -> str:
        """As JSON."""
        return json.dumps({"format": FORMAT, **self._asdict(), "labels": self.labels.to_json()})

    @classmethod
    def parse(cls, text: str | None, path: Any) -> "ExportFacts":
        """Read the text of a file that may come from anywhere.

        Raises:
            WeightsError: If there is none, or it is not what `text` writes.
        """
        try:
            said = json.loads(text or "")
            if said.pop("format") != FORMAT:
                raise ValueError("another format")
            facts = cls(**{**said, "labels": LabelTable.from_json(said["labels"])})
            size = None if facts.size is None else (facts.size[0], facts.size[1])
            good = (
                facts.layout in ("float", "uint8") and facts.output in ("logits", "ids") and facts.image_scale > 0
                and 0 < facts.channels < 1000 and isinstance(facts.about, dict)
                and (size is None or all(isinstance(side, int) and side > 0 for side in size))
            )  # fmt: skip
            if not good:
                raise ValueError("a value out of range")
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, ArgumentError) as error:
            raise WeightsError(
                f"{path} must be a network that `segdistill export` wrote ({FORMAT} among its metadata); it is not "
                f"({error}). Other networks are read by their source."
            ) from None
        return facts._replace(size=size)
