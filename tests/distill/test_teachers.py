import pytest
import torch
from torch import nn

from segdistill import losses
from segdistill.distill import Distiller, Term
from segdistill.labels import LabelTable
from segdistill.networks import ClassMap, Network, Teacher, Teachers, map_classes, mean_output
from segdistill.types import IGNORE_INDEX, SegOutput
from segdistill.util import ArgumentError

IMAGES = torch.rand(2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(0, 4, (2, 6, 8), generator=torch.Generator().manual_seed(1))


def network(classes, width=6):
    torch.manual_seed(classes + width)
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, classes, 1))


class Unsure(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = network(4)

    def forward(self, image):
        return SegOutput(self.body(image), certainty=image[:, 0])


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 1)

    def forward(self, image):
        return self.stem(image).mean((2, 3))


def test_logits_are_compared_over_the_classes_that_both_know_and_where_the_label_is_one():
    classes = ClassMap([[2], [], [0, 1], []])
    teacher = Teacher(network(3), classes=classes)
    distiller = Distiller(network(4), ["kd", "cwd", "dist"], teacher=teacher)
    step = distiller(IMAGES, LABELS, teacher(IMAGES))
    student, said = step.student.logits[:, [0, 2]], teacher(IMAGES).logits
    weight = ((LABELS == 0) | (LABELS == 2)).float()
    torch.testing.assert_close(step.parts["kd"], losses.KDLoss()(student, said, weight=weight))
    torch.testing.assert_close(step.parts["dist"], losses.DISTLoss()(student, said, weight=weight))
    torch.testing.assert_close(step.parts["cwd"], losses.CWDLoss()(student, said, weight=weight))
    (gradient,) = torch.autograd.grad(step.parts["kd"], step.student.logits)
    assert gradient[:, [1, 3]].abs().max() == 0
    assert gradient.abs().sum(1)[(LABELS == 1) | (LABELS == 3)].max() == 0


def test_pixels_without_a_label_are_taught_by_a_teacher_of_some_classes():
    teacher = Teacher(network(3), classes=ClassMap([[2], [], [0], []]))
    distiller = Distiller(network(4), ["kd"], teacher=teacher)
    nothing = torch.full_like(LABELS, IGNORE_INDEX)
    parts = [distiller(IMAGES, labels, teacher(IMAGES)).parts["kd"] for labels in (nothing, None)]
    torch.testing.assert_close(*parts)
    assert parts[0] > 0


def test_losses_that_read_labels_see_those_of_the_known_classes():
    teacher = Teacher(network(2), classes=ClassMap([[1], [], [], [0]]))
    distiller = Distiller(network(4), [Term("kd", options={"labelled_only": True}), "maskd"], teacher=teacher)
    assert distiller.distillation_losses()["maskd"].tokens.shape[1] == 2
    step = distiller(IMAGES, LABELS, teacher(IMAGES))
    meant = torch.where(LABELS == 3, 1, torch.where(LABELS == 0, 0, IGNORE_INDEX))
    expected = losses.KDLoss(labelled_only=True)(step.student.logits[:, [0, 3]], teacher(IMAGES).logits, meant)
    torch.testing.assert_close(step.parts["kd"], expected)


def test_a_map_of_known_classes_leaves_no_trace_in_the_state():
    teacher = Teacher(network(2), classes=ClassMap([[1], [], [], [0]]))
    known, whole = Distiller(network(4), ["kd"], teacher=teacher), Distiller(network(4), ["kd"])
    assert known.state_dict().keys() == whole.state_dict().keys()


def test_pixels_weigh_as_much_as_the_teacher_is_certain_of_them():
    teacher, certain = Teacher(Unsure()), Teacher(Unsure(), certainty=False)
    distiller = Distiller(network(4), ["kd"], teacher=teacher)
    weighed, plain = (distiller(IMAGES, LABELS, one(IMAGES)) for one in (teacher, certain))
    expected = losses.KDLoss()(weighed.student.logits, teacher(IMAGES).logits, weight=IMAGES[:, 0])
    torch.testing.assert_close(weighed.parts["kd"], expected)
    torch.testing.assert_close(plain.parts["kd"], losses.KDLoss()(plain.student.logits, teacher(IMAGES).logits))
    assert weighed.parts["kd"] != plain.parts["kd"]


def two():
    return {
        "one": Teacher(network(4, 5), features={"deep": "0"}),
        "two": Teacher(network(4, 7), features={"deep": "0"}),
    }


def test_a_term_names_its_teacher_and_without_a_name_reads_the_mean():
    teachers = two()
    terms = [Term("kd"), Term("kd", name="own", teacher="two"), Term("fitnet", layer="deep", teacher="one")]
    distiller = Distiller(network(4), terms, features={"deep": "0"}, teacher=teachers)
    assert distiller.losses["fitnet"].align.weight.shape[0] == 5
    said = Teachers(teachers)(IMAGES)
    step = distiller(IMAGES, LABELS, said)
    student = step.student.logits
    torch.testing.assert_close(step.parts["kd"], losses.KDLoss()(student, mean_output([*said.values()]).logits))
    torch.testing.assert_close(step.parts["own"], losses.KDLoss()(student, said["two"].logits))
    assert list(said) == ["one", "two"]  # what was given stays as it is


def test_features_of_several_teachers_need_a_name():
    with pytest.raises(ArgumentError, match=r"reads features, which several teachers have: one, two\. Name one"):
        Distiller(network(4), [Term("fitnet", layer="deep")], features={"deep": "0"}, teacher=two())
    with pytest.raises(ArgumentError, match=r"must be one of the teachers; got 'tow'\. Nearest names: two"):
        Distiller(network(4), [Term("kd", teacher="tow")], teacher=two())


def test_a_mean_of_teachers_that_know_different_classes_is_refused():
    teachers = {
        "one": Teacher(network(2), classes=ClassMap([[0], [1], [], []])),
        "two": Teacher(network(2), classes=ClassMap([[], [], [0], [1]])),
    }
    with pytest.raises(ArgumentError, match="must be over the same classes; they know different ones"):
        Distiller(network(4), ["kd"], teacher=teachers)
    terms = [Term("kd", name=name, teacher=name) for name in teachers]
    distiller = Distiller(network(4), terms, teacher=teachers)
    assert all(part > 0 for part in distiller(IMAGES, LABELS, Teachers(teachers)(IMAGES)).parts.values())


def test_a_teacher_without_classes_teaches_features_and_no_logits():
    teacher = Teacher(Backbone(), features={"deep": "stem"})
    with pytest.raises(ArgumentError, match="'kd' compares logits, and the teacher has no classes in common"):
        Distiller(network(4), ["kd"], teacher=teacher)
    distiller = Distiller(network(4), [Term("fitnet", layer="deep")], features={"deep": "0"}, teacher=teacher)
    assert distiller(IMAGES, LABELS, teacher(IMAGES)).parts["fitnet"] > 0


def test_classes_that_both_name_are_compared_by_name():
    def named(*names):
        return Network(network(len(names)), labels=LabelTable.from_names(names))

    with pytest.raises(ArgumentError, match=r"class 0 is 'a' and 'b'\. Bring them together by name"):
        Distiller(named("a", "b"), ["kd"], teacher=Teacher(named("b", "a")))
    classes = map_classes(["b", "a"], ["a", "b"])
    Distiller(named("a", "b"), ["kd"], teacher=Teacher(named("b", "a"), classes=classes))
    Distiller(named("a", "b"), ["kd"], teacher=Teacher(network(2)))


def test_answers_that_are_missing_are_a_sentence():
    teachers = two()
    distiller = Distiller(network(4), [Term("kd", teacher="two")], teacher=teachers)
    with pytest.raises(ArgumentError, match="must hold what the teacher 'two' of the term 'kd' says; got one"):
        distiller(IMAGES, LABELS, {"one": teachers["one"](IMAGES)})
