"""Exports: every format answers as the network does, outside the package too; what does not is found and named."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from torch import nn

import segdistill as sd
from segdistill.deploy import export
from segdistill.deploy.proof import prove, sizes_of
from segdistill.labels import LabelTable
from segdistill.networks import Network, create_network, read_exported, save_network
from segdistill.prediction import Deployable, Predictor
from segdistill.store import ExportManifest, read_record
from segdistill.types import Preprocessing
from segdistill.util import ArgumentError, MissingFileError, NetworkError, UnavailableError, WeightsError

TABLE = LabelTable.from_names(["sky", "road", "car"], [(70, 130, 180), (128, 64, 128), (0, 0, 142)])
SIZES = [(2, 64, 96), (1, 61, 83), (3, 100, 70)]


def small(**options):
    """A network with all that is hard: padding by sides, adaptive pooling, its own colours."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        Pyramid(),
    )  # fmt: skip
    preprocessing = Preprocessing(bgr=True, **options)
    return Network(module, preprocessing=preprocessing, labels=TABLE, channels={}, num_classes=3).eval()


class Pyramid(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(3)
        self.classify = nn.Conv2d(16, 3, 1)

    def forward(self, x):
        pooled = nn.functional.interpolate(self.pool(x), size=x.shape[-2:], mode="bilinear", align_corners=True)
        return self.classify(torch.cat([x, pooled], 1))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """Three files of one network that resizes, and what it says itself."""
    predictor = Predictor(small(), image_scale=0.5, metadata={"recipe": "mine"})
    done = export(predictor, "onnx,openvino,torch", out=tmp_path_factory.mktemp("export"), noise=True)
    return done, Deployable(predictor.network, image_scale=0.5)


def test_every_format_answers_alike_at_other_sizes_outside_the_package(shipped):
    done, ship = shipped
    session = onnxruntime.InferenceSession(str(done.files["onnx"]))
    compiled = openvino.Core().compile_model(done.files["openvino"], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    program = torch.export.load(done.files["torch"]).module()
    for count, height, width in SIZES:
        image = torch.rand(count, 3, height, width)
        with torch.no_grad():
            expected = ship(image)
        assert expected.shape == (count, 3, height, width)
        found = {
            "onnx": session.run(["logits"], {"image": image.numpy()})[0],
            "openvino": compiled(image.numpy())[0],
            "torch": program(image).detach().numpy(),
        }
        for name, logits in found.items():
            np.testing.assert_allclose(logits, expected.numpy(), atol=2e-5, err_msg=name)


def test_the_manifest_holds_the_proof(shipped):
    done, _ = shipped
    manifest = read_record(ExportManifest, done.folder / "export.json")
    assert set(manifest.files) == {"student.onnx", "student.xml", "student.pt2"}
    for name, file in manifest.files.items():
        assert file.verified
        assert file.problem is None
        assert [found.size for found in file.differences] == sizes_of(240, 320)
        assert all(0 <= found.largest <= 1e-3 * found.largest_logit for found in file.differences)
        assert file.bytes >= (done.folder / name).stat().st_size
        assert file.speed.p95 >= file.speed.median > 0
        assert file.images == "noise"
        assert file.score is None
    assert manifest.files["student.onnx"].opset == 20
    assert {row["file"] for row in done.frame()} == set(manifest.files)


def test_a_file_says_what_it_is(shipped):
    done, _ = shipped
    said = {entry.key: entry.value for entry in onnx.load(done.files["onnx"]).metadata_props}
    assert said["classes"] == "sky, road, car"
    assert said["colors"] == "#4682b4 #804080 #00008e"
    assert said["recipe"] == "mine"
    for path in done.files.values():
        network, facts = read_exported(path)
        assert network.labels == TABLE
        assert (facts.layout, facts.output, facts.size, facts.image_scale) == ("float", "logits", None, 0.5)
        assert facts.about["recipe"] == "mine"


def test_no_file_holds_a_path_of_the_machine(shipped):
    done, _ = shipped
    here = str(Path(torch.__file__).parent.parent).encode()
    for path in (*done.files.values(), done.files["openvino"].with_suffix(".bin")):
        assert here not in path.read_bytes(), path


@pytest.mark.parametrize("kind", ["onnx", "openvino", "torch"])
def test_an_exported_file_predicts_as_the_network(shipped, kind):
    done, ship = shipped
    image = torch.rand(3, 50, 70)
    predictor = sd.load(done.files[kind])
    assert predictor.names == ("sky", "road", "car")
    with torch.no_grad():
        logits = ship(image[None])
    assert torch.equal(predictor(image), logits.argmax(1)[0].byte())
    torch.testing.assert_close(predictor.probabilities(image), logits.softmax(1)[0], rtol=0, atol=1e-5)


def test_bytes_in_and_ids_out(tmp_path):
    network = small()
    done = export(network, out=tmp_path, noise=True, uint8=True, argmax=True)
    session = onnxruntime.InferenceSession(str(done.files["onnx"]))
    image = torch.randint(0, 256, (2, 45, 67, 3), dtype=torch.uint8)
    found = session.run(["ids"], {"image": image.numpy()})[0]
    with torch.no_grad():
        expected = Deployable(network, argmax=True)(image.permute(0, 3, 1, 2).float() / 255)
    assert np.array_equal(found, expected.numpy())
    assert torch.equal(sd.load(done.files["onnx"])(image[0].numpy()), expected[0].byte())


def test_one_size_is_kept(tmp_path):
    done = export(small(multiple=32), out=tmp_path, noise=True, size=(50, 70))
    network, facts = read_exported(done.files["onnx"])
    assert facts.size == (50, 70)
    assert network.segment(torch.rand(2, 3, 50, 70)).shape == (2, 3, 50, 70)
    with pytest.raises(ArgumentError, match=r"`image` must have 50x70 pixels for this file; got 51x70"):
        network.segment(torch.rand(1, 3, 51, 70))


def test_padding_to_a_multiple_works_at_every_size(tmp_path):
    network = small(multiple=32)
    exported = read_exported(export(network, out=tmp_path, noise=True).files["onnx"])[0]
    for count, height, width in [*SIZES, (1, 64, 96)]:
        image = torch.rand(count, 3, height, width)
        with torch.no_grad():
            expected = Deployable(network)(image)
        torch.testing.assert_close(exported.segment(image), expected, rtol=0, atol=2e-5)


def test_a_planted_fault_fails_is_named_and_stays_marked(tmp_path, monkeypatch):
    from segdistill.deploy import formats

    def faulty(program, path, facts, opset):
        formats.write_onnx(program, path, facts, opset)
        model = onnx.load(path)
        weights = {item.name: item for item in model.graph.initializer}
        spoiled = weights["network.module.2.weight"]
        values = onnx.numpy_helper.to_array(spoiled) * 1.5
        spoiled.CopyFrom(onnx.numpy_helper.from_array(values, spoiled.name))
        onnx.save(model, path)

    form = formats.FORMATS["onnx"]
    monkeypatch.setitem(formats.FORMATS, "onnx", form._replace(write=faulty))
    with pytest.raises(NetworkError, match=r"does not answer as .*: at .* they part at layer '2'"):
        export(small(), out=tmp_path, noise=True)
    file = read_record(ExportManifest, tmp_path / "export.json").files["student.onnx"]
    assert not file.verified
    assert "layer '2'" in file.problem
    assert (tmp_path / "student.onnx").is_file()


def test_proof_counts_differences():
    network = small()
    image = torch.rand(3, 40, 60)
    with pytest.raises(NetworkError, match=r"gives \(1, 3, 10, 15\) for an image of 40x60"):
        prove(Deployable(network), network, [image], [(40, 60)], 1e-3)
    ship = Deployable(network)
    right = Network(ship, channels={}, num_classes=3)
    found = prove(ship, right, [image], [(40, 60), (30, 50)], 1e-3)
    assert found.problem is None
    assert [difference.largest for difference in found.differences] == [0, 0]
    assert [difference.equal for difference in found.differences] == [1, 1]


def test_what_cannot_be_asked_is_refused_early(tmp_path):
    network = small()
    with pytest.raises(ArgumentError, match=r"`to` must be of onnx, openvino, torch; got 'onx'. Nearest names: onnx"):
        export(network, "onx", out=tmp_path, noise=True)
    with pytest.raises(ArgumentError, match="`out` must be given"):
        export(network, noise=True)
    with pytest.raises(ArgumentError, match="`recipe` must name the data"):
        export(network, out=tmp_path)
    with pytest.raises(ArgumentError, match="`opset` must be a whole number from 18 to 23; got 7"):
        export(network, out=tmp_path, noise=True, opset=7)
    with pytest.raises(ArgumentError, match="`size` must be a height and a width"):
        export(network, out=tmp_path, noise=True, size=(0, 3))
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_said_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(
        UnavailableError, match=r'the format openvino needs the library openvino .*"segdistill\[deploy\]"'
    ):
        export(small(), "onnx,openvino", out=tmp_path, noise=True)
    assert not list(tmp_path.iterdir())


def test_files_of_something_else_are_refused(tmp_path):
    with pytest.raises(MissingFileError):
        read_exported(tmp_path / "none.onnx")
    for suffix in (".onnx", ".xml", ".pt2"):
        path = tmp_path / f"bad{suffix}"
        path.write_bytes(b"nothing")
        with pytest.raises(WeightsError, match=f"bad{suffix}"):
            read_exported(path)
    foreign = tmp_path / "foreign.onnx"
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])], "g",
        [onnx.helper.make_tensor_value_info("x", 1, [1])], [onnx.helper.make_tensor_value_info("y", 1, [1])],
    )  # fmt: skip
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10), foreign)
    with pytest.raises(WeightsError, match="must be a network that `segdistill export` wrote"):
        read_exported(foreign)


def test_a_run_is_exported_scored_and_evaluated_again(tmp_path):
    tiny = ["data.options={num_images: 3, num_train: 2, size: [48, 64]}", "data.crop_size=[32,48]", "data.batch_size=2",
            "train.iterations=1", "train.device=cpu", "data.num_workers=0", "data.image_scale=0.5"]  # fmt: skip
    run = sd.train("demo_student", overrides=tiny, out=tmp_path / "run")
    done = sd.export(run.folder)
    file = done.manifest.files["student.onnx"]
    assert done.folder == run.folder / "export"
    assert file.score.miou == pytest.approx(file.trained.miou, abs=0.02)
    assert "val" in file.images
    again = sd.evaluate(done.files["onnx"])
    assert again.miou == pytest.approx(file.score.miou)
    assert json.loads((done.folder / "export.json").read_text())["files"]["student.onnx"]["protocol"] == file.protocol


def test_a_network_of_the_zoo_by_its_file(tmp_path):
    torch.manual_seed(0)
    network = create_network("pspnet_mobilenetv2_035", num_classes=3, options={"output_stride": 32}).eval()
    network.labels = TABLE
    save_network(tmp_path / "student.safetensors", network)
    done = export(tmp_path / "student.safetensors", out=tmp_path, noise=True)
    session = onnxruntime.InferenceSession(str(done.files["onnx"]))
    for count, height, width in SIZES:
        image = torch.rand(count, 3, height, width)
        with torch.no_grad():
            expected = Deployable(network)(image).numpy()
        np.testing.assert_allclose(session.run(None, {"image": image.numpy()})[0], expected, atol=1e-4)
