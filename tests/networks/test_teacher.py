import copy

import pytest
import torch
from torch import nn

from segdistill import Teacher
from segdistill.types import SegOutput


def network(width=4):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, 5, 1),
    )


def images():
    return torch.rand(2, 3, 6, 8, generator=torch.Generator().manual_seed(1))


def autocast():
    return torch.autocast("cpu", dtype=torch.bfloat16)


def test_teacher_stays_in_evaluation_mode_without_gradients():
    net = nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5))
    teacher = Teacher(net).train()
    before = net[1].running_mean.clone()
    assert not teacher(torch.rand(2, 3, 4, 4)).logits.requires_grad
    assert torch.equal(net[1].running_mean, before)
    assert next(net.parameters()).requires_grad  # the user's network is left as it was


def test_teacher_has_its_own_normalisation_and_undoes_the_loaders():
    net = network().eval()
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    column = [torch.tensor(v).view(1, 3, 1, 1) for v in (mean, std)]
    ready = (images() - column[0]) / column[1]
    assert torch.equal(Teacher(net, mean=mean, std=std)(images()).logits, net(ready))
    undone = Teacher(net, mean=mean, std=std, image_mean=mean, image_std=std)(ready).logits
    torch.testing.assert_close(undone, net(ready))


@pytest.mark.parametrize("options", [{"precision": torch.bfloat16}, {"fold_bn": True}, {"compile": True}])
def test_the_callers_network_is_not_changed(options):
    net = network()
    before = copy.deepcopy(net.state_dict())
    teacher = Teacher(net, **options)
    assert teacher.network.module is not net
    assert net.training
    assert not any(layer._compiled_call_impl for layer in net.modules())
    assert all(torch.equal(now, before[name]) and now.dtype == torch.float32 for name, now in net.state_dict().items()
               if now.is_floating_point())  # fmt: skip
    assert isinstance(net[1], nn.BatchNorm2d)
    plain = Teacher(net)
    assert plain.network.module is net


def test_low_precision_gives_what_autocast_gives_to_the_bit_from_half_the_memory():
    net = network(64)
    options = {"features": {"deep": "2"}, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.2)}
    with autocast():
        expected = Teacher(copy.deepcopy(net), **options)(images())
    teacher = Teacher(net, precision=torch.bfloat16, **options)
    output = teacher(images())
    assert torch.equal(output.logits, expected.logits)
    assert torch.equal(output.features["deep"], expected.features["deep"])
    assert output.logits.dtype == torch.bfloat16  # as it is: losses go up themselves
    assert teacher.network.module[0].weight.dtype == teacher.network.module[3].bias.dtype == torch.bfloat16
    assert teacher.network.module[1].running_var.dtype == teacher.network.module[1].weight.dtype == torch.float32


def test_images_are_normalised_in_float32():
    seen = []

    class Sees(nn.Conv2d):
        def forward(self, x):
            seen.append(x)
            return super().forward(x)

    mean = (0.501, 0.502, 0.503)
    Teacher(Sees(3, 5, 1), precision=torch.bfloat16, mean=mean)(images())
    assert torch.equal(seen[-1], images() - torch.tensor(mean).view(1, 3, 1, 1))


def test_full_precision_is_full_inside_autocast():
    net = network().eval()
    with autocast():
        output = Teacher(net, precision=torch.float32)(images())
    assert torch.equal(output.logits, net(images()))
    half = Teacher(copy.deepcopy(net).bfloat16(), precision=torch.float32)
    assert half(images().bfloat16()).logits.dtype == torch.float32


def test_without_a_precision_the_network_is_taken_as_it_is():
    half = network().bfloat16()
    teacher = Teacher(half, mean=(0.5,) * 3)
    assert teacher.network.module is half
    assert teacher(images().bfloat16()).logits.dtype == torch.bfloat16


def test_low_precision_of_attention_with_fused_kernels():
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Conv2d(3, 8, 2, stride=2)
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.head = nn.Conv2d(8, 5, 1)

        def forward(self, x):
            x = self.embed(x)
            tokens = self.layer(x.flatten(2).mT)
            return self.head(tokens.mT.reshape(x.shape))

    net = Attends()
    low = Teacher(net, precision=torch.bfloat16)(images()).logits
    torch.testing.assert_close(low.float(), net.eval()(images()), rtol=0.1, atol=0.05)


def test_another_precision_is_refused():
    with pytest.raises(ValueError, match=r"`precision` must be torch.float32, .*; got torch.int8"):
        Teacher(network(), precision=torch.int8)


def test_batch_norms_are_folded_and_a_tapped_layer_keeps_its_output():
    net = network()
    net[1].running_mean.uniform_()
    net[1].running_var.uniform_(0.5, 2)
    options = {"features": {"norm": "1", "deep": "2"}, "mean": (0.5,) * 3}
    teacher = Teacher(net, fold_bn=True, **options)
    assert teacher.num_folded == 1
    expected, output = Teacher(net, **options)(images()), teacher(images())
    torch.testing.assert_close(output.logits, expected.logits)
    for name, feature in expected.features.items():
        torch.testing.assert_close(output.features[name], feature)
    assert (
        Teacher(net, fold_bn=True, features={"first": "0"}).num_folded == 0
    )  # the output of a convolution is asked for
    assert Teacher(net).num_folded == 0


def test_a_network_that_cannot_be_folded_is_left_with_a_warning(caplog):
    class Insists(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5)

        def forward(self, x):
            return SegOutput(self.norm(self.conv(x)) * self.norm.weight.mean())

    teacher = Teacher(Insists(), fold_bn=True)
    assert teacher.num_folded == 0
    assert isinstance(teacher.network.module.norm, nn.BatchNorm2d)
    assert "the teacher's batch normalisation stays as it is: it does not run" in caplog.text


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")  # torch warns about itself while it traces
def test_on_a_gpu(cuda):
    net = network(16).to(cuda)
    options = {"mean": (0.5,) * 3, "image_mean": (0.1,) * 3, "image_std": (0.9,) * 3}
    inputs = images().to(cuda)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        expected = Teacher(net, **options)(inputs).logits
    low = Teacher(net, precision=torch.bfloat16, **options)(inputs).logits
    torch.testing.assert_close(low, expected, rtol=0, atol=0)
    folded = Teacher(net, fold_bn=True, compile=True, **options)
    assert folded.num_folded == 1
    torch.testing.assert_close(folded(inputs).logits, Teacher(net, **options)(inputs).logits, rtol=1e-2, atol=1e-2)
