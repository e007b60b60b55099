"""An archive of torch.export is read only if it is data alone."""

import json
import zipfile

import pytest
import torch
from torch import nn

from segdistill.networks.exported.programs import refuse_code
from segdistill.util import WeightsError


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "net.pt2"
    shapes = ({0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC},)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Upsample(scale_factor=2)).eval()
    torch.export.save(torch.export.export(network, (torch.rand(2, 3, 8, 9),), dynamic_shapes=shapes), path)
    return path


def changed(archive, to, change):
    """A copy whose JSON texts went through a function, with more entries if it gives some."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(to, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("model.json"):
                content = json.dumps(change(json.loads(content))).encode()
            new.writestr(entry.filename, content)
    return to


def test_what_torch_writes_is_read(archive):
    refuse_code(archive)


def test_a_function_that_is_none_of_torch_s_is_refused(archive, tmp_path):
    def change(said):
        said["graph_module"]["graph"]["nodes"][0]["target"] = "os.system"
        return said

    with pytest.raises(WeightsError, match=r"calls 'os.system', which is none of torch's"):
        refuse_code(changed(archive, tmp_path / "a.pt2", change))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "S('__import__(1)')",
        "Symbol('s0', positive=True).__class__",
        "(lambda: 1)()",
        "[x for x in s0]",
        "s0 if s1 else s2",
        "Symbol('os.system(1)')",
        "eval(s0)",
        "not an expression",
    ],
)
def test_more_than_arithmetic_is_refused(archive, tmp_path, text):
    def change(said):
        (said["more"]) = [{"expr_str": text}]
        return said

    with pytest.raises(WeightsError, match="more than arithmetic"):
        refuse_code(changed(archive, tmp_path / "a.pt2", change))


def test_pickles_are_refused(archive, tmp_path):
    def change(said):
        said["use_pickle"] = True
        return said

    with pytest.raises(WeightsError, match="pickled tensors"):
        refuse_code(changed(archive, tmp_path / "a.pt2", change))
    path = tmp_path / "b.pt2"
    path.write_bytes(archive.read_bytes())
    with zipfile.ZipFile(path, "a") as more:
        more.writestr("net/data/constants/custom_obj_0", b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(WeightsError, match="pickled object"):
        refuse_code(path)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "net.pt2"
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"net.pt2 must be a .pt2 archive"):
        refuse_code(path)
