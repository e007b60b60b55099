import pytest
import torch
from torch import nn

import segdistill as sd
from segdistill.experiment.norms import watch_norms
from segdistill.util import RecipeError

TINY = [
    "data.crop_size=[8, 8]",
    "data.batch_size=1",
    "data.options={num_images: 2, num_train: 2, size: [32, 32]}",
    "train.iterations=1",
]


def test_what_is_noted():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.InstanceNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(4)
    )
    with watch_norms(net.eval()) as seen:
        net(torch.rand(2, 3, 5, 6))
    assert seen == {"1": (True, 30), "2": (False, 30), "4": (True, 1)}
    assert not any(module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize("verb", ["check", "train"])
def test_one_value_a_channel_is_found_before_training(verb, tmp_path):
    options = {"overrides": ["model.name=pspnet_resnet18", *TINY]}
    said = r"crops of 8x8, 1 at a time, leave one to \d+ of \d+, .*`train.freeze_bn=true`"
    if verb == "check":
        (problem,) = sd.check("demo_student", **options).problems
        assert problem.startswith("`data.crop_size` and `data.batch_size` must leave more than one value")
    else:
        with pytest.raises(RecipeError, match=said):
            sd.train("demo_student", out=tmp_path, **options)
    for mended in ("data.batch_size=2", "train.freeze_bn=true", "data.crop_size=[32, 32]"):
        assert sd.check("demo_student", overrides=[*options["overrides"], mended]).problems == []
