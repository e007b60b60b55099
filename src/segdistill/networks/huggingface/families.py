"""What each model type of transformers needs to be known, to be fed, read and tapped."""

from typing import Any, Final, NamedTuple

from segdistill.types import Preprocessing

_HALF: Final = Preprocessing((0.5,) * 3, (0.5,) * 3)
_BLUE_FIRST: Final = Preprocessing((0.0,) * 3, (1.0,) * 3, bgr=True)


class Family(NamedTuple):
    """What a model type of transformers needs to be known.

    Attributes:
        model: Its class.
        head: The layer whose output the classifier reads.
        backbone: The part that holds the stages or blocks; four of them are the layers.
        fixed: It takes squares of ``config.image_size`` only; else sides are padded to a multiple of 32.
        queries: It answers with classes and masks of queries.
        task: It wants to be told its task, see `tell_task`.
        feeding: Without an image processor.
    """

    model: str
    head: str
    backbone: str
    fixed: bool = False
    queries: bool = False
    task: bool = False
    feeding: Preprocessing = Preprocessing()


FAMILIES: Final = {
    "beit": Family("BeitForSemanticSegmentation", "decode_head.fpn_bottleneck", "beit", True, feeding=_HALF),
    "data2vec-vision": Family(
        "Data2VecVisionForSemanticSegmentation", "decode_head.fpn_bottleneck", "data2vec_vision", True
    ),
    "dpt": Family("DPTForSemanticSegmentation", "head.head.3", "dpt", True, feeding=_HALF),
    "eomt": Family("EomtForUniversalSegmentation", "upscale_block", "", True, queries=True),
    "eomt_dinov3": Family("EomtDinov3ForUniversalSegmentation", "upscale_block", "", True, queries=True),
    "mask2former": Family(
        "Mask2FormerForUniversalSegmentation",
        "model.pixel_level_module.decoder.mask_projection",
        "model.pixel_level_module.encoder",
        queries=True,
    ),
    "maskformer": Family(
        "MaskFormerForInstanceSegmentation",
        "model.pixel_level_module.decoder.mask_projection",
        "model.pixel_level_module.encoder",
        queries=True,
    ),
    "mobilenet_v2": Family(
        "MobileNetV2ForSemanticSegmentation", "segmentation_head.dropout", "mobilenet_v2", feeding=_HALF
    ),
    "mobilevit": Family(
        "MobileViTForSemanticSegmentation", "segmentation_head.dropout", "mobilevit", feeding=_BLUE_FIRST
    ),
    "oneformer": Family(
        "OneFormerForUniversalSegmentation",
        "model.pixel_level_module.decoder.mask_projection",
        "model.pixel_level_module.encoder",
        queries=True,
        task=True,
    ),
    "segformer": Family("SegformerForSemanticSegmentation", "decode_head.dropout", "segformer"),
    "upernet": Family("UperNetForSemanticSegmentation", "decode_head.fpn_bottleneck", "backbone"),
}

_STAGES: Final = ("hidden_states_norms", "swin.encoder.layers", "encoder.stages", "stages", "encoder.layers", "layers",
                  "encoder.layer", "layer", "encoder.layer_norm")  # fmt: skip
"""Where a backbone of transformers keeps its stages or blocks; the first that it has."""


def layers_of(module: Any, family: Family) -> dict[str, str]:
    """``layer1`` to ``layer4`` and ``head`` as names of layers."""
    prefix = f"{family.backbone}." if family.backbone else ""
    parts = dict(module.named_modules())
    path = next(prefix + stages for stages in _STAGES if prefix + stages in parts)
    stages = [f"{path}.{key}" for key, _ in parts[path].named_children()]
    if family.queries and not family.backbone:
        stages = stages[: -module.config.num_blocks]  # from there on queries are among the tokens
    count = len(stages)
    if count > 5:  # blocks, not stages
        stages = [stages[(i + 1) * count // 4 - 1] for i in range(4)]
    stages = stages[-4:]
    return {**{f"layer{i + 5 - len(stages)}": stage for i, stage in enumerate(stages)}, "head": family.head}
