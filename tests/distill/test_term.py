import re

import pytest
import torch
from torch import nn

from segdistill import Distiller, Teacher, Term
from segdistill.distill.term import layer_pairs, make_loss
from segdistill.losses.base import DistillationLoss, PlainLoss
from segdistill.util import ArgumentError


@pytest.mark.parametrize(
    ("layer", "several", "pairs"),
    [
        ("deep", False, [("deep", "deep")]),
        ("deep", True, [("deep", "deep")]),
        (("a", "b"), False, [("a", "b")]),
        (["a", "b"], False, [("a", "b")]),  # as YAML has it
        (("a", "b"), True, [("a", "b")]),
        (["a", "b"], True, [("a", "a"), ("b", "b")]),
        (["a"], True, [("a", "a")]),
        (["a", ("b", "c")], True, [("a", "a"), ("b", "c")]),
        ([["a", "b"], ["c", "d"]], True, [("a", "b"), ("c", "d")]),
        ((("a", "b"), ("c", "d")), True, [("a", "b"), ("c", "d")]),
        (("a", "b", "c"), True, [("a", "a"), ("b", "b"), ("c", "c")]),
    ],
)
def test_a_layer_is_a_name_a_pair_or_a_list_of_either(layer, several, pairs):
    assert layer_pairs(layer, several=several, term="mine") == pairs


@pytest.mark.parametrize(
    ("layer", "several", "sentence"),
    [
        (
            ["a", "b", "c"],
            False,
            "pair of names (student's, teacher's), as its loss reads one map; got ['a', 'b', 'c'].",
        ),
        ([["a", "b"]], False, "as its loss reads one map; got [['a', 'b']]."),
        (["a"], False, "as its loss reads one map; got ['a']."),
        ([], True, "or a list of these; got []."),
        ([["a", "b", "c"]], True, "or a list of these; got [['a', 'b', 'c']]."),
        ([1, 2], True, "`layer` of the term 'mine' must be a name or a pair of names"),
        (5, False, "must be a name or a pair of names (student's, teacher's); got 5."),
    ],
)
def test_any_other_layer_is_refused_in_one_sentence(layer, several, sentence):
    with pytest.raises(ArgumentError, match=re.escape(sentence)):
        layer_pairs(layer, several=several, term="mine")


def test_a_term_takes_all_but_its_loss_by_name():
    with pytest.raises(TypeError):
        Term("kd", 2.0)


def network(width=4, classes=5):
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, classes, 1))


def built(*terms, teacher=None, classes=5):
    return Distiller(network(classes=classes), terms, features={"deep": "0"}, teacher=teacher)


@pytest.mark.parametrize("loss", ["af_dcd", "mgd", "fitnet", "acam", "cwd"])
def test_a_width_that_nobody_knows_is_asked_for(loss):
    sentence = (
        rf"'{loss}' needs `teacher_channels`, which the Distiller does not know.* Give `teacher=` to the Distiller"
    )
    with pytest.raises(ArgumentError, match=sentence):
        built(Term(loss, layer="deep"))
    told = built(Term(loss, layer="deep", options={"teacher_channels": 16}))
    known = built(Term(loss, layer="deep"), teacher=Teacher(network(16), features={"deep": "0"}))
    shapes = [{name: x.shape for name, x in distiller.losses.state_dict().items()} for distiller in (told, known)]
    assert shapes[0] == shapes[1] != {}


def test_losses_without_a_width_need_no_teacher_at_construction():
    distiller = built("kd", "cwd", Term("cirkd", layer="deep"), Term("at", layer="deep"), Term("ifvd", layer="deep"))
    assert [*distiller.losses] == ["kd", "cwd", "cirkd", "at", "ifvd"]
    assert distiller.losses["ifvd"].num_classes == 5
    with pytest.raises(ArgumentError, match=r"needs `teacher_channels`.*`memory` is set"):
        built(Term("cirkd", layer="deep", options={"memory": True}))


def test_a_width_of_a_network_that_takes_no_probe_is_asked_for():
    class Picky(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 5, 1)

        def forward(self, image):
            if image.shape[-1] != 20:
                raise RuntimeError("only 20 pixels")
            return self.conv(image)

    with pytest.raises(ArgumentError, match="'fitnet' needs `student_channels`"):
        Distiller(
            Picky(), [Term("fitnet", layer="conv")], features=["conv"], teacher=Teacher(Picky(), features=["conv"])
        )


def test_options_of_a_loss_that_is_made_already_are_refused():
    with pytest.raises(ArgumentError, match=r"must be empty, as its loss is made already; got \{'reduction'"):
        built(Term(nn.MSELoss(), options={"reduction": "sum"}))


def test_a_misspelt_key_of_a_term_is_recognised_among_its_options():
    with pytest.raises(ArgumentError, match=r"has no option 'layers'\. Nearest names: layer"):
        built(Term("kd", options={"layers": "deep"}))


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ([nn.MSELoss()], "`terms` must hold terms or names of losses; got MSELoss. Write Term(...) around a loss."),
        ([Term(5)], "`loss` must be one of LOSSES or a module; got 5."),
        ([Term(nn.MSELoss)], "`loss` must be one of LOSSES or a module; got <class"),
        (["kdd"], "got 'kdd'. Nearest names: kd"),
    ],
)
def test_what_is_no_term_is_refused_in_one_sentence(terms, sentence):
    with pytest.raises(ArgumentError, match=re.escape(sentence)):
        Distiller(network(), terms)


@pytest.mark.parametrize("terms", ["kd", ["kd"], Term("kd"), (Term("kd"),)])
def test_the_bare_name_of_a_loss_is_a_term(terms):
    assert [*Distiller(network(), terms).losses] == ["kd"]


def test_a_plain_module_is_wrapped_and_a_loss_is_not():
    class Mine(DistillationLoss):
        def forward(self, student, teacher):
            return (student - teacher).abs().mean()

    mine = Mine()
    assert make_loss(Term(mine), "mine", {}) is mine
    plain = make_loss(Term(nn.MSELoss()), "plain", {})
    assert isinstance(plain, PlainLoss)
    assert (plain.layer, plain.parts, plain.published, plain.uses_labels) == ("logits", (), 1.0, False)
    assert plain.same_size
    assert plain.own_optimizer() is None


@pytest.mark.parametrize(
    ("value", "got"), [(torch.ones(2), "shape (2,)"), ((torch.ones(()),), "tuple"), (1.0, "float")]
)
def test_a_plain_module_returns_one_scalar(value, got):
    class Wrong(nn.Module):
        def forward(self, student, teacher):
            return value

    with pytest.raises(ArgumentError, match=re.escape(f"`Wrong` must return one scalar; got {got}.")):
        PlainLoss(Wrong())(torch.ones(1), torch.ones(1))
