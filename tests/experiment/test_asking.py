"""Whether a teacher knows the data, asked before a training."""

import logging

import pytest
import torch
from tests.experiment.settings import TINY
from torch import nn

import segdistill as sd
from segdistill import store
from segdistill.data import STREETS_LABELS, Streets
from segdistill.experiment import asking
from segdistill.experiment.asking import chance_of
from segdistill.networks import ClassMap, Network
from segdistill.util import RecipeError

KD = [*TINY, "terms={}", "terms.kd.weight=1"]
SIZE = (32, 48)


class Oracle(nn.Module):
    """Knows the answers by heart: the truth of the image that looks most like the one it is shown."""

    def __init__(self, order=range(9)):
        super().__init__()
        drawn = Streets(None, "val", num_images=2, num_train=2, size=SIZE)
        pairs = [drawn.load(index) for index in range(len(drawn))]
        self.images = torch.stack([image.float() / 255 for image, _ in pairs])
        truth = torch.stack([mask.squeeze() for _, mask in pairs]).long().clamp(max=9)
        self.scores = 9 * nn.functional.one_hot(truth, 10)[..., list(order)].permute(0, 3, 1, 2).float()

    def forward(self, image):
        if image.shape[-2:] != SIZE:
            return image.new_zeros(len(image), self.scores.shape[1], 4, 4)
        distance = (image[:, None] - self.images).abs().mean((2, 3, 4))
        return self.scores[distance.argmin(1)]


def teacher(order=range(9), classes=None):
    return sd.Teacher(Network(Oracle(order)), classes=classes)


def test_a_teacher_that_knows_the_data_is_heard_and_it_stands_in_record_log_and_result(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "segdistill"):
        trained = sd.train("demo", teacher=teacher(), overrides=KD, out=tmp_path / "run")
    assert "Asked first: the teacher has a mIoU of 100.00 % on 2 validation images" in caplog.text
    assert "Asked first" in (trained.folder / store.EVENTS).read_text(encoding="utf-8")
    asked = trained.result["teacher"]["asked"]
    assert asked["miou"] == 1
    assert asked["images"] == 2
    assert store.read_json(trained.folder / store.ASKED)["teachers"]["teacher"] == asked
    page = sd.report([trained.folder], tmp_path / "report.html").file.read_text(encoding="utf-8")
    assert "asked first: mIoU 100.00 % on 2 images" in page


def test_wrong_classes_end_before_the_first_step_as_a_sentence_that_names_the_causes(tmp_path):
    wrong = teacher([*range(1, 9), 0])
    with pytest.raises(RecipeError) as error:
        sd.train("demo", teacher=wrong, overrides=KD, out=tmp_path / "run")
    for part in ("does not know them better than chance", "normalisation", "teacher.classes", "bgr", "check=false"):
        assert part in str(error.value)
    assert not (tmp_path / "run").exists()
    assert sd.train("demo", teacher=wrong, overrides=[*KD, "teacher.check=false"], out=tmp_path / "run").result


def test_a_teacher_of_some_classes_is_scored_over_them(tmp_path):
    some = teacher([0, 1], ClassMap([[0], [1], *[[]] * 7]))
    trained = sd.train("demo", teacher=some, overrides=KD, out=tmp_path / "run")
    assert trained.result["teacher"]["miou"] == trained.result["teacher"]["asked"]["miou"] == 1
    assert trained.result["teacher"]["classes"] == list(STREETS_LABELS.names[:2])


def test_a_score_far_below_the_recorded_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "OF_RECORDED", 3.0)  # no need of a run that is good first
    monkeypatch.setattr(asking, "ABOVE_CHANCE", 0.0)
    made = sd.train("demo_teacher", overrides=TINY, out=tmp_path / "teacher")
    assert made.evaluation.miou > 0
    with pytest.raises(RecipeError, match=r"its own run recorded .* that is less than half of it"):
        sd.train("demo", overrides=[*KD, f"teacher.weights={made.folder}"], out=tmp_path / "run")


def test_a_resumed_run_does_not_ask_again(tmp_path, monkeypatch):
    trained = sd.train("demo", teacher=teacher(), overrides=KD, out=tmp_path / "run")
    (trained.folder / store.RESULT).unlink()
    monkeypatch.setattr("segdistill.experiment.training.ask_teachers", None)
    again = sd.train("demo", teacher=teacher(), overrides=KD, out=tmp_path / "run", resume=True)
    assert again.result["teacher"]["asked"] == trained.result["teacher"]["asked"]


@pytest.mark.parametrize("counts", [[90, 10], [50, 50], [5, 3, 2], [1]])
def test_chance_is_what_predictions_without_an_image_are_expected_to_get(counts):
    torch.manual_seed(0)
    truth = torch.repeat_interleave(torch.arange(len(counts)), 20000 * torch.tensor(counts) // sum(counts))
    guesses = [torch.zeros_like(truth), torch.randint(len(counts), truth.shape), truth[torch.randperm(len(truth))]]
    found = []
    for guess in guesses:
        both = [((truth == k) & (guess == k)).sum() / ((truth == k) | (guess == k)).sum() for k in range(len(counts))]
        found.append(float(sum(both) / len(counts)))
    assert chance_of(torch.tensor(counts)) == pytest.approx(max(found), abs=0.01)
