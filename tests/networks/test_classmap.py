import pytest
import torch
from tests.reference.classes import mapped_by_loops
from torch import nn

from segdistill.networks import ClassMap, Teacher, map_classes
from segdistill.util import ArgumentError

THEIRS = ["Road", "lane_marking", "Car", "Sky"]
OURS = ["sky", "road", "car", "person"]


@pytest.mark.parametrize("sources", [[[3], [0, 1], [], [2]], [[0], [1], [2], [3]], [[], [2, 0, 3], [], [0]]])
def test_probabilities_are_those_of_the_loops(sources):
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, 2, dtype=torch.float64)
    classes = ClassMap(sources)
    found = classes(logits).softmax(1).permute(0, 2, 3, 1)
    torch.testing.assert_close(found, torch.tensor(mapped_by_loops(logits, sources), dtype=torch.float64))
    assert classes.known == tuple(k for k, channels in enumerate(sources) if channels)


def test_single_sources_keep_the_scores_to_the_bit_in_any_precision():
    logits = torch.randn(1, 3, 2, 2, dtype=torch.bfloat16)
    torch.testing.assert_close(ClassMap([[2], [], [0]])(logits), logits[:, [2, 0]], rtol=0, atol=0)
    assert ClassMap([[2, 1], [0]])(logits).dtype == torch.float32


def test_classes_that_are_not_known_never_win_even_when_resized():
    classes = ClassMap([[1], [], [0]])
    wide = classes.widen(torch.full((1, 2, 3, 3), -50.0))
    wide = nn.functional.interpolate(wide, size=(7, 5), mode="bilinear", align_corners=True)
    assert wide.shape == (1, 3, 7, 5)
    assert wide.isfinite().all()
    assert 1 not in wide.argmax(1)


def test_equal_lists_need_no_map_and_another_order_is_brought_in_order():
    assert map_classes(["a", "b"], ["a", "b"]) is None
    assert map_classes(["b", "c", "a"], ["a", "b", "c"]).sources == ((2,), (0,), (1,))


def test_auto_is_by_equal_names_whatever_their_case():
    assert map_classes(THEIRS, OURS, "auto").sources == ((3,), (0,), (2,), ())
    assert map_classes(["Lane Marking"], ["lane_marking"], "auto") is None


def test_a_mapping_has_the_students_names_as_keys_and_the_other_way_round_is_understood():
    ours = map_classes(THEIRS, OURS, {"road": ["Road", "lane_marking"], "car": "Car"})
    theirs = map_classes(THEIRS, OURS, {"Road": "road", "lane_marking": "road", "Car": "car"})
    assert ours.sources == theirs.sources == ((), (0, 1), (2,), ())


def test_none_knows_no_class():
    classes = map_classes(THEIRS, OURS, "none")
    assert classes.known == ()
    assert classes(torch.zeros(2, 4, 3, 3)).shape == (2, 0, 3, 3)


@pytest.mark.parametrize(
    ("theirs", "wanted", "sentence"),
    [
        (THEIRS, None, r"both know `sky`, `road`, `car`; it alone `lane_marking`; the data alone `person`. .*auto"),
        (["x"], "auto", "of `x` none means any of `sky`"),
        (THEIRS, {"raod": "Road"}, "must name classes of the student; got 'raod'. Nearest names: road"),
        (THEIRS, {"road": "Raod"}, "must name classes of the teacher; got 'Raod'. Nearest names: Road"),
        (THEIRS, {"Road": ["road", "person"]}, "`Road` cannot tell several apart"),
        (THEIRS, {}, "must leave a class"),
        (THEIRS, "some", "must be auto, none or a mapping of names; got 'some'"),
    ],
)
def test_what_cannot_be_is_a_sentence(theirs, wanted, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        map_classes(theirs, OURS, wanted)


def test_a_teacher_speaks_of_the_students_classes():
    torch.manual_seed(0)
    network = nn.Conv2d(3, 4, 1)
    image = torch.rand(2, 3, 5, 4)
    classes = map_classes(THEIRS, OURS, {"road": ["Road", "lane_marking"], "car": "Car"})
    teacher = Teacher(network, classes=classes)
    torch.testing.assert_close(teacher(image).logits, classes(network(image)))
    assert (teacher.num_classes, teacher.segment(image).shape) == (2, (2, 4, 5, 4))
    assert set(teacher.segment(image).argmax(1).unique().tolist()) <= {1, 2}
