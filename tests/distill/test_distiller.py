import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segdistill import AfDCDLoss, Distiller, KDLoss, Teacher, Term
from segdistill.types import IGNORE_INDEX, SegOutput

AF_DCD = {"groups": 2, "patch_size": (2, 2), "pool_size": 1, "reduction": "mean", "mask": "none"}
WEIGHT = {"mimic": 2.0, "contrast": 0.5}


def network(width, classes=5, stride=1):
    return nn.Sequential(nn.Conv2d(3, width, 3, stride=stride, padding=1), nn.ReLU(), nn.Conv2d(width, classes, 1))


def batch(size=(12, 14)):
    torch.manual_seed(1)
    labels = torch.randint(0, 5, (2, *size))
    labels[:, :3] = IGNORE_INDEX
    return torch.rand(2, 3, *size), labels


def pair(**teacher_options):
    torch.manual_seed(0)
    return network(4), Teacher(network(8, stride=2), features={"deep": "1"}, **teacher_options)


def test_loss_is_the_weighted_sum_of_parts_computed_by_hand():
    student, teacher = pair()
    images, labels = batch()
    term = Term("af_dcd", layer="deep", weight=WEIGHT, options=AF_DCD)
    distiller = Distiller(student, [Term("kd", weight=3.0), term], features={"deep": "1"}, teacher=teacher)
    step = distiller(images, labels, teacher(images))

    logits, target = student(images), teacher.network.module(images)
    task = F.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX)
    kd = KDLoss()(logits, target)
    af_dcd = distiller.losses["af_dcd"](
        student[1](student[0](images)), teacher.network.module[1](teacher.network.module[0](images))
    )
    expected = {"task": task, "kd": kd, "af_dcd.mimic": af_dcd.mimic, "af_dcd.contrast": af_dcd.contrast}
    assert step.parts.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(step.parts[name], value)
    total = task + 3 * kd + 2 * af_dcd.mimic + 0.5 * af_dcd.contrast
    torch.testing.assert_close(step.loss, total)
    assert distiller.weights == {"task": 1, "aux": 0.4, "kd": 3, "af_dcd.mimic": 2, "af_dcd.contrast": 0.5}


def test_gradients_reach_the_student_and_the_terms_and_never_the_teacher():
    student, teacher = pair()
    images, labels = batch()
    term = Term("af_dcd", layer="deep", weight=WEIGHT, options=AF_DCD)
    distiller = Distiller(student, [term], features={"deep": "1"}, teacher=teacher)
    distiller(images, labels, teacher(images)).loss.backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in distiller.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_the_teacher_is_no_part_of_the_distiller_and_the_student_stays_plain():
    student, teacher = pair()
    before = copy.deepcopy(student.state_dict())
    term = Term("af_dcd", layer="deep", weight=WEIGHT, options=AF_DCD)
    distiller = Distiller(student, [term], features={"deep": "1"}, teacher=teacher)
    prefixes = {name.split(".")[0] for name in distiller.state_dict()}
    assert prefixes == {"network", "losses"}
    assert distiller.student is student
    assert student.state_dict().keys() == before.keys()
    images, labels = batch()
    distiller(images, labels, teacher(images))
    assert not any(module._forward_hooks for module in student.modules())


def test_student_alone_needs_no_teacher():
    images, labels = batch()
    step = Distiller(network(4))(images, labels)
    assert list(step.parts) == ["task"]
    assert step.loss == step.parts["task"]


def test_auxiliary_logits_are_found_and_weighted():
    class WithAux(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 5, 1)

        def forward(self, x):
            return {"out": self.conv(x), "aux": 2 * self.conv(x)[..., ::2, ::2]}

    images, labels = batch()
    step = Distiller(WithAux(), aux_weight=0.25)(images, labels)
    assert list(step.parts) == ["task", "aux"]
    torch.testing.assert_close(step.loss, step.parts["task"] + 0.25 * step.parts["aux"])


def test_labels_may_be_missing_or_all_ignored():
    student, teacher = pair()
    images, labels = batch()
    distiller = Distiller(student, [Term("kd")], teacher=teacher)
    assert list(distiller(images, None, teacher(images)).parts) == ["kd"]
    step = distiller(images, torch.full_like(labels, IGNORE_INDEX), teacher(images))
    step.loss.backward()
    assert step.parts["task"] == 0
    assert all(torch.isfinite(parameter.grad).all() for parameter in student.parameters())
    with pytest.raises(ValueError, match="labels or terms"):
        Distiller(student)(images)


def test_num_valid_makes_shares_of_a_batch_add_up_to_the_batch():
    student = network(4).double()
    images, labels = batch()
    images = images.double()
    labels[0, :6] = IGNORE_INDEX
    distiller = Distiller(student)
    whole = distiller(images, labels).loss
    mean = (labels != IGNORE_INDEX).sum() / 2
    halves = [distiller(images[i : i + 1], labels[i : i + 1], num_valid=mean).loss for i in range(2)]
    torch.testing.assert_close((halves[0] + halves[1]) / 2, whole)


def test_an_optimizer_holds_every_parameter_from_the_start_where_the_width_is_told():
    student, teacher = pair()
    images, labels = batch()
    term = Term("af_dcd", layer="deep", weight=WEIGHT, options=AF_DCD | {"teacher_channels": 8})
    distiller = Distiller(student, [term], features={"deep": "1"})
    loss = distiller.losses["af_dcd"]
    assert isinstance(loss, AfDCDLoss)
    assert loss.align.weight.shape == (8, 4, 1, 1)
    optimizer = torch.optim.SGD(distiller.parameters(), lr=0.1, momentum=0.9)
    distiller(images, labels, teacher(images)).loss.backward()
    before = loss.align.weight.detach().clone()
    optimizer.step()
    assert not torch.equal(loss.align.weight, before)


def test_a_users_own_loss_module_and_two_terms_of_one_kind():
    student, _ = pair()
    images, labels = batch()
    twin = Teacher(network(4), features={"deep": "0"})
    terms = [Term("kd", options={"temperature": 4.0}, name="warm"), Term("kd"), Term(Squared(), layer="deep")]
    distiller = Distiller(student, terms, features={"deep": "0"}, teacher=twin)
    step = distiller(images, labels, twin(images))
    assert set(step.parts) == {"task", "warm", "kd", "Squared"}
    assert step.parts["warm"] != step.parts["kd"]


class Squared(nn.Module):
    def forward(self, student, teacher):
        return (student - teacher).square().mean()


def test_labels_go_to_losses_that_ask_for_them():
    student, teacher = pair()
    images, labels = batch()
    distiller = Distiller(student, [Term("kd", options={"labelled_only": True})], teacher=teacher)
    nothing = distiller(images, torch.full_like(labels, IGNORE_INDEX), teacher(images))
    assert nothing.parts["kd"] == 0
    with pytest.raises(ValueError, match="`labels` must be given"):
        distiller(images, None, teacher(images))


@pytest.mark.parametrize(
    ("terms", "match"),
    [
        ([Term("af_dcb")], "got 'af_dcb'. Nearest names: af_dcd"),
        (
            [Term("af_dcd", layer="deep", weight=1.0, options={"groups": 4})],
            "a weight for each of mimic, contrast; got 1.0",
        ),
        ([Term("af_dcd", layer="deep", weight={"mimik": 1.0}, options={"groups": 4})], "a weight for each of mimic"),
        ([Term("kd", weight={"a": 1.0})], "must be one number"),
        ([Term("kd", options={"temprature": 1.0})], "no option 'temprature'. Nearest names: temperature"),
        ([Term("af_dcd", layer="dep", weight=WEIGHT)], "got 'dep'. Nearest names: deep"),
        (
            [Term("af_dcd", weight=WEIGHT)],
            "a feature of the student; got 'layer4'.*Known names: deep, logits.*or give `layer=`",
        ),
        ([Term("af_dcd", layer="deep", weight=WEIGHT, options={"groups": 3})], "groups"),
        ([Term("kd"), Term("kd")], "must be new"),
        ([Term("kd", name="a.b")], "without dots"),
    ],
)
def test_faults_are_found_at_construction(terms, match):
    student, teacher = pair()
    with pytest.raises(ValueError, match=match):
        Distiller(student, terms, features={"deep": "1"}, teacher=teacher)


def test_other_classes_are_refused_at_construction():
    teacher = Teacher(network(8, classes=7))
    with pytest.raises(ValueError, match="same classes; got 5 and 7"):
        Distiller(network(4), [Term("kd")], teacher=teacher)


def test_a_missing_teacher_or_feature_is_named_at_the_step():
    student, teacher = pair()
    images, labels = batch()
    term = Term("af_dcd", layer="deep", weight=WEIGHT, options=AF_DCD)
    distiller = Distiller(student, [term], features={"deep": "1"}, teacher=teacher)
    with pytest.raises(ValueError, match="Pass `teacher\\(images\\)`"):
        distiller(images, labels)
    with pytest.raises(ValueError, match="reads 'deep' from the teacher"):
        distiller(images, labels, SegOutput(teacher(images).logits))


@pytest.mark.filterwarnings("ignore")  # torch warns about itself while it traces
def test_compiled_and_autocast_steps_agree_with_eager():
    student, teacher = pair()
    images, labels = batch()
    term = Term("af_dcd", layer="deep", weight=WEIGHT, options=AF_DCD)
    distiller = Distiller(student, [Term("kd"), term], features={"deep": "1"}, teacher=teacher)
    eager = distiller(images, labels, teacher(images))
    compiled = torch.compile(distiller, backend="eager")(images, labels, teacher(images))
    torch.testing.assert_close(compiled.loss, eager.loss)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = distiller(images, labels, teacher(images))
    assert all(part.dtype == torch.float32 for part in low.parts.values())
    torch.testing.assert_close(low.loss, eager.loss, rtol=0.05, atol=0.05)


def test_the_distiller_can_be_copied_and_its_state_restored():
    student, teacher = pair()
    images, labels = batch()
    term = Term("af_dcd", layer="deep", weight=WEIGHT, options=AF_DCD)
    distiller = Distiller(student, [term], features={"deep": "1"}, teacher=teacher)
    other = Distiller(network(4), [term], features={"deep": "1"}, teacher=teacher)
    other.load_state_dict(distiller.state_dict())
    assert other(images, labels, teacher(images)).loss == distiller(images, labels, teacher(images)).loss
    copy.deepcopy(distiller)


def test_a_weight_that_is_not_given_is_the_published_one():
    student, teacher = pair()
    terms = [Term("kd"), Term("af_dcd", layer="deep", options={"groups": 4, "reduction": "mean"}),
             Term(torch.nn.MSELoss(), layer="logits", name="mine")]  # fmt: skip
    weights = Distiller(student, terms, features={"deep": "1"}, teacher=teacher).weights
    assert weights["af_dcd.mimic"] == 33.6
    assert weights["kd"] == weights["mine"] == 1.0
    known = Distiller(student, [Term("cwd", layer="deep")], features={"deep": "1"}, teacher=teacher)
    images, labels = batch()
    assert known(images, labels, teacher(images)).parts["cwd"] > 0
    assert known.weights["cwd"] == 3.0
