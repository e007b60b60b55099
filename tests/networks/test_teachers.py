import pytest
import torch
from torch import nn

from segdistill.networks import ClassMap, Network, Teacher, Teachers, mean_output, named_teachers
from segdistill.types import SegOutput
from segdistill.util import ArgumentError, NetworkError


class Backbone(nn.Module):
    """Gives one vector an image, as a foundation model does, and has no class."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2, padding=1)

    def forward(self, image):
        return {"pooled": self.stem(image).mean((2, 3))}


def outputs(*seeds, size=(3, 4)):
    made = []
    for seed in seeds:
        torch.manual_seed(seed)
        made.append(SegOutput(torch.randn(2, 5, *size, dtype=torch.float64)))
    return made


def test_the_mean_is_that_of_probabilities():
    one, two = outputs(0, 1)
    mean = mean_output([one, two])
    expected = (one.logits.softmax(1) + two.logits.softmax(1)) / 2
    torch.testing.assert_close(mean.logits.exp(), expected)
    assert mean.certainty is None


def test_the_mean_is_as_certain_as_its_teachers_on_average_and_of_the_first_ones_size():
    (one,), (two,) = outputs(0), outputs(1, size=(6, 8))
    mean = mean_output([one, two._replace(certainty=torch.full((2, 6, 8), 0.5))])
    assert mean.logits.shape == (2, 5, 3, 4)
    torch.testing.assert_close(mean.certainty, torch.full((2, 3, 4), 0.75))


def test_teachers_answer_by_name_and_stay_in_evaluation_mode():
    one, two = (Teacher(nn.Sequential(nn.Conv2d(3, 5, 1), nn.Dropout())) for _ in range(2))
    teachers = Teachers({"one": one, "two": two}).train()
    image = torch.rand(1, 3, 4, 4)
    said = teachers(image)
    assert list(said) == ["one", "two"]
    assert not any(module.training for module in teachers.modules())
    torch.testing.assert_close(teachers.segment(image), mean_output(list(said.values())).logits)


def test_the_mean_leaves_out_a_teacher_without_classes_and_knows_what_its_teachers_know():
    classes = [ClassMap([[0], [], [1]]) for _ in range(2)]
    knowing = {str(i): Teacher(nn.Conv2d(3, 2, 1), classes=one) for i, one in enumerate(classes)}
    backbone = Teacher(Backbone(), features={"deep": "stem"})
    scores = Teachers({"backbone": backbone, **knowing}).segment(torch.rand(1, 3, 4, 4))
    assert scores.shape == (1, 3, 4, 4)
    assert 1 not in scores.argmax(1)


@pytest.mark.parametrize("name", ["mean", "a.b", ""])
def test_names_that_cannot_be_are_refused(name):
    with pytest.raises(ArgumentError, match="must have names of letters"):
        Teachers({name: Teacher(nn.Conv2d(3, 5, 1))})


def test_what_is_no_teacher_is_refused():
    with pytest.raises(ArgumentError, match="must hold a Teacher as 'one'; got Conv2d"):
        named_teachers({"one": nn.Conv2d(3, 5, 1)})
    with pytest.raises(ArgumentError, match="must hold a teacher; got none"):
        Teachers({})


def test_a_backbone_teaches_features_only():
    teacher = Teacher(Backbone(), features={"deep": "stem"})
    output = teacher(torch.rand(2, 3, 8, 6))
    assert (teacher.num_classes, output.logits.shape) == (0, (2, 0, 1, 1))
    assert output.features["deep"].shape == (2, 6, 4, 3)


def test_a_network_may_say_that_it_has_no_classes():
    network = Network(Backbone(), features={"deep": "stem"}, num_classes=0, channels={})
    assert Teacher(network).num_classes == 0


def test_a_network_without_logits_and_without_features_teaches_nothing():
    with pytest.raises(NetworkError, match="output must be or contain logits"):
        Teacher(Backbone())
