"""A network by its place: what is found, and what ends as a sentence."""

import sys

import pytest
from torch import nn

from segdistill.networks import is_place, own_network
from segdistill.util import ArgumentError, NetworkError

CODE = """
from torch import nn
import segdistill as sd

def fixed(): return nn.Conv2d(3, 4, 1)
def asked(num_classes): return nn.Conv2d(3, num_classes, 1)
def open_(num_classes=7): return nn.Conv2d(3, num_classes, 1)
def wrapped(num_classes): return sd.Network(nn.Conv2d(3, num_classes, 1))
def greedy(width, num_classes): return nn.Conv2d(3, width, 1)
def text(): return "net"
def broken(): return nn.Conv2d(3, 4, 1) + 1
def told(): return sd.Network(nn.Conv2d(3, 4, 1), features=["nothing"])
class Net(nn.Conv2d):
    def __init__(self, num_classes): super().__init__(3, num_classes, 1)
number = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text(CODE)
    (tmp_path / "my_broken.py").write_text("import nothing_of_this_name\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in ("my_nets", "my_broken"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("function", "width"), [("fixed", 4), ("asked", 5), ("open_", 5), ("Net", 5)])
def test_a_function_of_the_current_directory_is_called_with_the_classes_if_it_wants_them(here, function, width):
    network = own_network(f"my_nets:{function}", 5, role="student")
    assert isinstance(network, nn.Conv2d)
    assert network.out_channels == width


def test_what_it_returns_may_say_how_it_is_fed(here):
    assert own_network("my_nets:wrapped", 5, role="student").num_classes == 5


@pytest.mark.parametrize(
    ("place", "error", "said"),
    [
        ("my_nets", ArgumentError, "`student` must be a place, module:function, for example nets:small; got 'my_nets'"),
        ("my_net:asked", ArgumentError, "the module my_net is in no file here and is not installed"),
        ("my_broken:asked", ArgumentError, "my_broken cannot be imported: No module named 'nothing_of_this_name'"),
        ("my_nets:askd", ArgumentError, r"my_nets must have a function 'askd'\. .*asked"),
        ("my_nets:number", ArgumentError, "my_nets must have a function 'number'"),
        ("my_nets:greedy", ArgumentError, "without arguments, or with `num_classes`; my_nets:greedy needs width"),
        ("my_nets:text", NetworkError, "my_nets:text must return a torch module; got str"),
        ("my_nets:broken", NetworkError, "my_nets:broken failed with TypeError"),
        ("my_nets:told", NetworkError, "must name a feature or a layer of the network; got 'nothing'"),
    ],
)
def test_what_cannot_be_is_a_sentence(here, place, error, said):
    with pytest.raises(error, match=said):
        own_network(place, 5, role="student")


def test_a_place_is_no_file(here):
    assert is_place("my_nets:asked")
    assert not is_place("runs/a")
    assert not is_place("a.yaml")
    (here / "a:b").mkdir()
    assert not is_place("a:b")
