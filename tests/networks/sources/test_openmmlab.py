"""OpenMMLab's checkpoints: outputs equal to mmsegmentation's, what a file tells of its network, files that do not fit.

``golden/networks/openmmlab_state_dicts.json`` has every key and shape of five checkpoints, and
``openmmlab_outputs.npz`` what mmsegmentation returned for the weights of ``golden.rebuild``. The other networks are put
together from the parts of these five.
"""

import functools
import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.networks import contract, golden

from segdistill.labels import LabelTable
from segdistill.networks import Teacher, create_network, save_network
from segdistill.networks.sources.openmmlab import NAMES
from segdistill.util import ArgumentError, MissingFileError, WeightsError

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[2] / "golden" / "networks"
SHAPES = json.loads((GOLDEN / "openmmlab_state_dicts.json").read_text())
HEADS = {"deeplabv3": "aspp", "pspnet": "psp"}


def build(name, **arguments):
    return create_network(name, source="openmmlab", **arguments)


def parts(theirs, *prefixes):
    return {key: list(shape) for key, shape in SHAPES[theirs].items() if key.startswith(prefixes)}


def shapes_of(name, num_classes=19):
    """Keys and shapes of any network of the source, by those of the golden five."""
    head, backbone = name.split("_")
    theirs = f"{HEADS[head]}_{backbone}"
    if theirs in SHAPES:
        shapes = parts(theirs, "")
    else:
        other = {"deeplabv3": "psp", "pspnet": "aspp"}[head]
        wide = {"deeplabv3": "aspp_resnet101", "pspnet": "psp_resnet50"}[head]
        of = {"resnet50": "psp_resnet50", "resnet101": "aspp_resnet101"}.get(backbone, f"{other}_{backbone}")
        shapes = parts(of, "backbone", "auxiliary_head") | parts(wide, "decode_head")
        if backbone == "mobilenetv2":
            for key, shape in shapes.items():
                if key.startswith("decode_head.psp_modules") and key.endswith("conv.weight"):
                    shape[1] = 320
            shapes["decode_head.bottleneck.conv.weight"][1] = 320 + 4 * 512
    for key in shapes:
        if "conv_seg" in key:
            shapes[key][0] = num_classes
    return shapes


@functools.cache
def weights_of(name, num_classes):
    return golden.rebuild(shapes_of(name, num_classes))


def without(prefix):
    return lambda state: {key: value for key, value in state.items() if not key.startswith(prefix)}


def write(path, name="pspnet_resnet18", num_classes=19, meta=None, change=None):
    state = weights_of(name, num_classes)
    if change is not None:
        state = change(state)
    torch.save({"meta": meta or {}, "state_dict": OrderedDict(state)}, path)
    return path


def answer(network):
    with np.load(GOLDEN / "openmmlab_outputs.npz") as theirs, torch.no_grad():
        return network(torch.from_numpy(theirs["input"]))


@pytest.mark.parametrize("theirs", list(SHAPES))
def test_outputs_equal_openmmlabs(theirs, tmp_path):
    head, backbone = theirs.split("_")
    name = f"{'pspnet' if head == 'psp' else 'deeplabv3'}_{backbone}"
    network = build(name, weights=write(tmp_path / "a.pth", name))
    assert not network.training
    output = answer(network)
    deep = output.features["layer4"]
    found = {
        "logits": output.logits,
        "aux_logits": output.aux_logits,
        "c4_first16": deep[:, :16],
        "c4_mean": deep.mean((2, 3)),
    }
    with np.load(GOLDEN / "openmmlab_outputs.npz") as expected:
        assert {key for key in expected if key.startswith(theirs)} == {f"{theirs}.{key}" for key in found}
        for key, ours in found.items():
            assert golden.relative_error(ours, expected[f"{theirs}.{key}"]) < 1e-5, key


@pytest.mark.parametrize(("name", "theirs"), [("pspnet_mobilenetv2", "aspp_mobilenetv2")])
def test_other_networks_and_class_counts(name, theirs, tmp_path):
    network = build(name, weights=write(tmp_path / "a.pth", name, num_classes=21))
    assert (network.num_classes, network.labels) == (21, None)
    output = answer(network)
    assert output.logits.shape == (2, 21, 8, 12)
    with np.load(GOLDEN / "openmmlab_outputs.npz") as expected:
        deep = output.features["layer4"][:, :16]
        assert golden.relative_error(deep, expected[f"{theirs}.c4_first16"]) < 1e-5


def test_every_name_has_the_tensors_of_its_file():
    for name in NAMES:
        with torch.device("meta"):
            module = build(name, num_classes=7).module
        assert {key: list(value.shape) for key, value in module.state_dict().items()} == shapes_of(name, 7), name


@pytest.mark.parametrize("name", ["pspnet_resnet18", "deeplabv3_mobilenetv2"])
def test_promises_of_every_network(name, tmp_path):
    contract.check_all(lambda: build(name, num_classes=5, options={"channels": 32}), tmp_path)


def test_promises_with_every_option(tmp_path):
    options = {"output_stride": 32, "channels": 16, "aux": False, "mean": [0.5] * 3, "std": [0.5] * 3, "bgr": True}
    contract.check_all(lambda: build("deeplabv3_resnet18", num_classes=3, options=options), tmp_path)
    assert build("deeplabv3_resnet18", num_classes=3, options=options).spec["options"] == options


@pytest.mark.parametrize("name", ["pspnet_resnet18", "deeplabv3_mobilenetv2"])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_output_strides(name, stride):
    network = build(name, num_classes=2, options={"output_stride": stride, "channels": 8}).eval()
    with torch.no_grad():
        output = network(torch.rand(1, 3, 64, 96))
    assert output.logits.shape[2:] == (64 // stride, 96 // stride)
    assert output.aux_logits.shape[2:] == (64 // min(stride, 16), 96 // min(stride, 16))


OLD = {"CLASSES": ("road", "car"), "PALETTE": [[128, 64, 128], [0, 0, 142]]}
NEW = {"dataset_meta": {"classes": ["road", "car"], "palette": np.array([[128, 64, 128], [0, 0, 142]]).tolist()}}


@pytest.mark.parametrize("meta", [OLD, NEW, {"dataset_meta": OLD}, {**NEW, "CLASSES": ("other",)}])
def test_classes_of_older_and_newer_files(meta, tmp_path):
    network = build("pspnet_resnet18", weights=write(tmp_path / "a.pth", num_classes=2, meta=meta))
    assert network.labels.names == ("road", "car")
    assert network.labels.colors == ((128, 64, 128), (0, 0, 142))
    assert network.labels.id_to_train_id == {0: 0, 1: 1}


@pytest.mark.parametrize("palette", [None, "random", [[1, 2, 3]]])
def test_classes_without_colours(palette, tmp_path):
    meta = {"CLASSES": ["road", "car"], "PALETTE": palette}
    network = build("pspnet_resnet18", weights=write(tmp_path / "a.pth", num_classes=2, meta=meta))
    assert network.labels.colors == LabelTable.from_names(["road", "car"]).colors


def test_a_file_tells_its_layout(tmp_path):
    meta = {"cfg": "model = dict(backbone=dict(\n dilations=(\n 1,\n 1,\n 1,\n 1),\n strides=(\n 1,\n 2,\n 2,\n 2)))"}
    network = build("pspnet_resnet18", weights=write(tmp_path / "a.pth", meta=meta, change=without("auxiliary_head")))
    assert network.spec["options"].items() >= {"output_stride": 32, "channels": 128, "aux": False}.items()
    meta = {
        "config": "backbone=dict(type='MobileNetV2', strides=(1, 2, 2, 1, 1, 1, 1), dilations=(1, 1, 1, 2, 2, 4, 4))"
    }
    network = build("deeplabv3_mobilenetv2", weights=write(tmp_path / "a.pth", "deeplabv3_mobilenetv2", meta=meta))
    assert network.spec["options"]["output_stride"] == 8
    again = build("deeplabv3_mobilenetv2", weights=tmp_path / "a.pth", num_classes=19, options={"output_stride": 16})
    assert again.spec["options"]["output_stride"] == 16


@pytest.mark.parametrize("setting", ["multi_grid=(1, 2, 4)", "align_corners=True"])
def test_what_the_tensors_do_not_show_is_refused(setting, tmp_path):
    path = write(tmp_path / "a.pth", meta={"config": f"model=dict(backbone=dict({setting}))"})
    with pytest.raises(WeightsError, match=f"must be a network without `{setting[:10]}"):
        build("pspnet_resnet18", weights=path)


def test_keys_of_a_wrapped_network(tmp_path):
    def wrapped(state):
        return {f"module.{key}": value for key, value in state.items()}

    network = build("pspnet_resnet18", weights=write(tmp_path / "a.pth", change=wrapped))
    assert torch.equal(
        network.module.decode_head.conv_seg.bias, golden.rebuild({"decode_head.conv_seg.bias": [19]}).popitem()[1]
    )


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("pspnet_resnet50", {}, r"must hold OpenMMLab's `pspnet_resnet50`: it holds `pspnet_resnet18`"),
        ("deeplabv3_resnet18", {}, r"`deeplabv3_resnet18`: it holds `pspnet_resnet18`"),
        ("pspnet_resnet18", {"num_classes": 11}, "`num_classes` asked for, 11; it has 19 classes"),
        ("pspnet_resnet18", {"pretrained": "b.pth"}, "`pretrained` must be left out"),
        ("pspnet_resnet18", {"options": {"output_strid": 8}}, "Nearest names: output_stride"),
        ("pspnet_resnet18", {"options": {"output_stride": 4}}, "`output_stride` must be 8, 16 or 32; got 4"),
        ("pspnet_resnet34", {}, "got 'pspnet_resnet34'. Nearest names: pspnet_resnet"),
    ],
)
def test_arguments_that_do_not_fit_the_file(name, arguments, message, tmp_path):
    path = write(tmp_path / "a.pth")
    with pytest.raises(ValueError, match=message):
        build(name, weights=path, **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("decode_head.conv_seg.bias"), "lacks `decode_head.conv_seg.bias`"),
        (without("decode_head.conv_seg.weight"), "lacks `decode_head.conv_seg.weight`"),
        (lambda s: {**s, "neck.weight": torch.zeros(1)}, "unknown `neck.weight`"),
        (lambda s: {"fc.weight": torch.zeros(5, 8)}, "must be a segmentation network of OpenMMLab"),
    ],
)
def test_tensors_that_do_not_fit(change, message, tmp_path):
    path = write(tmp_path / "a.pth", change=change)
    with pytest.raises(WeightsError, match=message):
        build("pspnet_resnet18", weights=path)


@pytest.mark.parametrize(
    "meta", [{"CLASSES": ["car", "car"]}, {"CLASSES": ["road", "car"], "PALETTE": [[1, 2, 3], [1, 2, None]]}]
)
def test_classes_that_cannot_be(meta, tmp_path):
    with pytest.raises(WeightsError, match=r"a\.pth must have a meta with distinct classes and colours"):
        build("pspnet_resnet18", weights=write(tmp_path / "a.pth", num_classes=2, meta=meta))


def test_weights_that_we_saved(tmp_path):
    trained = build("deeplabv3_mobilenetv2", num_classes=2, options={"channels": 8})
    trained.labels = LabelTable.from_names(["road", "car"])
    save_network(tmp_path / "w.safetensors", trained)
    again = build("deeplabv3_mobilenetv2", num_classes=2, options={"channels": 8}, weights=tmp_path / "w.safetensors")
    assert torch.equal(again.module.decode_head.conv_seg.weight, trained.module.decode_head.conv_seg.weight)


def test_classes_that_contradict_the_classifier(tmp_path):
    path = write(tmp_path / "a.pth", meta={"CLASSES": ("road", "car")})
    with pytest.raises(WeightsError, match="must name its 19 classes; its meta names 2"):
        build("pspnet_resnet18", weights=path)


class HistoryBuffer:
    """What a training leaves in a file that was not published."""


def test_files_that_torch_refuses(tmp_path):
    path = tmp_path / "a.pth"
    with pytest.raises(MissingFileError):
        build("pspnet_resnet18", weights=path)
    torch.save({"message_hub": HistoryBuffer(), "state_dict": {}}, path)
    with pytest.raises(ArgumentError, match=r"it holds [\w.]*HistoryBuffer\. Save its state dict alone"):
        build("pspnet_resnet18", weights=path)


def test_a_teacher_is_folded_and_compiled(tmp_path):
    network = build("pspnet_resnet18", weights=write(tmp_path / "a.pth"))
    norms = sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in network.modules())
    teacher = Teacher(network, fold_bn=True)
    assert teacher.num_folded == norms
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(teacher(image).logits, network(image).logits, rtol=1e-4, atol=1e-3)
        compiled = torch.compile(network.module, backend="eager", fullgraph=True)
        assert torch.equal(compiled(image).logits, network.module(image).logits)


def test_untrained_networks_need_a_number_of_classes():
    with pytest.raises(ArgumentError, match="`num_classes` must be given"):
        build("pspnet_resnet18")
    with pytest.raises(ArgumentError, match="`num_classes` must be a whole number from 1 on; got 0"):
        build("pspnet_resnet18", num_classes=0)
    with pytest.raises(ArgumentError, match="`channels` must be a whole number from 2 on; got 'wide'"):
        build("pspnet_resnet18", num_classes=2, options={"channels": "wide"})


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_a_backbone_to_start_from(prefix, tmp_path):
    theirs = weights_of("pspnet_resnet18", 19)
    state = {key.replace("backbone.", prefix): theirs[key] for key in parts("psp_resnet18", "backbone")}
    torch.save({"state_dict": {**state, f"{prefix and 'head.'}fc.weight": torch.zeros(1000, 512)}}, tmp_path / "b.pth")
    network = build("deeplabv3_resnet18", num_classes=3, pretrained=tmp_path / "b.pth")
    assert network.training
    assert torch.equal(network.module.backbone.stem[0].weight, state[f"{prefix}stem.0.weight"])
    with pytest.raises(WeightsError, match="must hold the backbone: it lacks"):
        build("deeplabv3_resnet50", num_classes=3, pretrained=tmp_path / "b.pth")
    with pytest.raises(ArgumentError, match="which nothing fetches"):
        build("deeplabv3_resnet50", num_classes=3, pretrained=True)
