"""Outputs of layers as maps: what is told apart, what is refused, and the networks of timm that have them."""

import pytest
import timm
import torch
from torch import nn

from segdistill.distill import Distiller, Term
from segdistill.networks import Network, Teacher
from segdistill.networks.layouts import Layout, as_map, find_layout, prefix_of
from segdistill.util import NetworkError

IMAGE = (128, 192)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((1, 7, 16, 24), Layout("map")),
        ((1, 24, 16, 24), Layout("map")),
        ((1, 3, 128, 192), Layout("map")),
        ((1, 2048, 4, 6), Layout("map")),
        ((1, 9, 9, 13), Layout("map")),  # stride 15, rounded up
        ((1, 4, 6, 768), Layout("channels_last")),
        ((1, 32, 48, 96), Layout("channels_last")),
        ((1, 96, 384), Layout("tokens")),
        ((1, 97, 384), Layout("tokens", 1)),
        ((1, 101, 384), Layout("tokens", 5)),
        ((1, 1536, 32), Layout("tokens")),
    ],
)
def test_what_is_found(shape, layout):
    assert find_layout(torch.zeros(shape), 1, IMAGE, "layer 'x'") == layout


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 512), r"it gives \(1, 512\)"),
        ((1, 512, 1, 1), "one cell"),
        ((1, 3, 101, 101), r"it gives \(1, 3, 101, 101\)"),  # attention
        ((24, 49, 96), r"it gives \(24, 49, 96\)"),  # windows
        ((1, 150, 8), r"it gives \(1, 150, 8\)"),
        ((), r"it gives \(\)"),
    ],
)
def test_what_is_no_map_is_refused(shape, said):
    with pytest.raises(NetworkError, match=said):
        find_layout(torch.zeros(shape), 1, IMAGE, "layer 'x'")


def test_the_networks_own_word_settles_the_prefix():
    # 16x24 patches of 8 pixels with 3 in front; 387 is nothing else
    assert find_layout(torch.zeros(1, 387, 8), 1, IMAGE, "x", 3) == Layout("tokens", 3)
    with pytest.raises(NetworkError, match="tokens"):
        find_layout(torch.zeros(1, 387, 8), 1, IMAGE, "x", 2)
    several = torch.zeros(1, 16, 8)  # on a small image: 16 of 4 pixels, or 4 of 8 with 12 in front, ...
    with pytest.raises(NetworkError, match="with 0 or 12 or 15 before the others"):
        find_layout(several, 1, (16, 16), "x")
    assert find_layout(several, 1, (16, 16), "x", 12) == Layout("tokens", 12)
    assert find_layout(several, 1, (16, 16), "x", None, 8) == Layout("tokens", 12)


def test_tokens_are_laid_out_row_by_row():
    grid = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    tokens = torch.cat([torch.full((2, 5, 3), 9.0), grid.flatten(2).transpose(1, 2)], 1)
    assert torch.equal(as_map(tokens, Layout("tokens", 5), (64, 96), "x"), grid)
    assert torch.equal(as_map((tokens, None), Layout("tokens", 5), (64, 96), "x"), grid)
    assert torch.equal(as_map(grid.permute(0, 2, 3, 1), Layout("channels_last"), (64, 96), "x"), grid)
    with pytest.raises(NetworkError, match="tile no image of 64x96"):
        as_map(tokens, Layout("tokens", 4), (64, 96), "x")


class Around(nn.Module):
    """A network of a user's own around a body."""

    def __init__(self, body, width, as_map):
        super().__init__()
        self.body, self.head, self.as_map = body, nn.Conv2d(width, 5, 1), as_map

    def forward(self, image):
        return self.head(self.as_map(self.body.forward_features(image), image))


def swin(**options):
    body = timm.create_model(
        "swin_tiny_patch4_window7_224",
        num_classes=0,
        depths=(1, 1, 1, 1),
        embed_dim=24,
        num_heads=(1, 2, 3, 6),
        **options,
    )
    return Around(body, 192, lambda x, _: x.permute(0, 3, 1, 2))


def vit(name, **options):
    body = timm.create_model(name, num_classes=0, dynamic_img_size=True, depth=2, embed_dim=48, num_heads=3, **options)
    patch = body.patch_embed.patch_size[0]

    def to_map(tokens, image):
        rows, columns = (side // patch for side in image.shape[-2:])
        return tokens[:, body.num_prefix_tokens :].transpose(1, 2).reshape(len(image), -1, rows, columns)

    return Around(body, 48, to_map)


@pytest.mark.parametrize(("options", "size"), [({}, (224, 224)), ({"strict_img_size": False}, None)])
def test_layers_of_swin(options, size):
    teacher = Teacher(swin(**options), features={"deep": "body.layers.3", "fine": "body.layers.0"}, size=size)
    assert teacher.network.channels == {"deep": 192, "fine": 24}
    output = teacher(torch.rand(2, 3, 224, 224))
    assert output.features["deep"].shape == (2, 192, 7, 7)
    assert output.features["fine"].shape == (2, 24, 56, 56)


@pytest.mark.parametrize(
    ("name", "prefix", "size", "grid"),
    [
        ("vit_small_patch16_dinov3", 5, (256, 512), (16, 32)),
        ("vit_small_patch14_reg4_dinov2", 5, (112, 140), (8, 10)),
        ("vit_tiny_patch16_224", 1, (64, 96), (4, 6)),
    ],
)
def test_blocks_of_vits(name, prefix, size, grid):
    network = vit(name)
    assert prefix_of(network, "body.blocks.1") == prefix
    assert prefix_of(network, "head") is None
    teacher = Teacher(network, features={"deep": "body.blocks.1"})
    assert teacher.network.channels == {"deep": 48}
    image = torch.rand(2, 3, *size)
    output = teacher(image)
    assert output.features["deep"].shape == (2, 48, *grid)
    with torch.no_grad():
        kept = []
        handle = network.body.blocks[1].register_forward_hook(lambda _module, _args, tokens: kept.append(tokens))
        network(image)
        handle.remove()
    expected = kept[0][:, prefix:].transpose(1, 2).reshape(2, 48, *grid)
    assert torch.equal(output.features["deep"], expected)


def test_registers_of_transformers_are_counted():
    module = nn.Sequential(nn.Identity())
    module.config = type("Config", (), {"num_register_tokens": 4})()
    assert prefix_of(module, "0") == 5


def test_a_tap_that_is_no_map_is_refused_before_training():
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool, self.fc, self.out = nn.AdaptiveAvgPool2d(1), nn.Linear(3, 4), nn.Conv2d(3, 2, 1)

        def forward(self, image):
            self.fc(self.pool(image).flatten(1))
            return self.out(image)

    for layer, said in (("pool", "one cell"), ("fc", r"gives \(1, 4\)")):
        with pytest.raises(NetworkError, match=f"layer '{layer}' of the teacher must give a map.*{said}"):
            Teacher(Pooled(), features=[layer])

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Conv2d(3, 2, 1)

        def forward(self, image):
            from segdistill.types import SegOutput

            return SegOutput(self.out(image), None, {"deep": image.flatten(2)})

    with pytest.raises(NetworkError, match="feature 'deep' of the network must be a map"):
        Network(Tokens())


def test_one_channel_is_binary_segmentation():
    torch.manual_seed(0)
    student, teacher = nn.Conv2d(3, 1, 1), Teacher(nn.Conv2d(3, 1, 1))
    assert teacher.network.num_classes == 2
    distiller = Distiller(student, [Term("kd")], teacher=teacher)
    images, labels = torch.rand(2, 3, 8, 8), torch.randint(0, 2, (2, 8, 8))
    parts = distiller(images, labels, teacher(images)).parts
    z, t = student(images)[:, 0], teacher.network.module(images)[:, 0]
    expected = nn.functional.binary_cross_entropy_with_logits(z, labels.float())
    torch.testing.assert_close(parts["task"], expected)
    p, q = torch.sigmoid(t), torch.sigmoid(z)
    divergence = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    torch.testing.assert_close(parts["kd"], divergence.mean())
    assert torch.equal(Network(student)(images).logits.argmax(1), (z > 0).long())


def test_labels_that_torch_ignores_are_ignored():
    torch.manual_seed(0)
    distiller = Distiller(nn.Conv2d(3, 4, 1))
    images, labels = torch.rand(2, 3, 8, 8), torch.randint(0, 4, (2, 8, 8))
    labels[:, :3] = 255
    expected = distiller(images, labels).loss
    assert torch.equal(distiller(images, labels.masked_fill(labels == 255, -100)).loss, expected)
    assert torch.equal(distiller(images, labels.masked_fill(labels == 255, -100)[:, None].int()).loss, expected)
    assert torch.equal(distiller(images, labels.to(torch.uint8)).loss, expected)


def test_one_of_several_outputs_is_tapped_by_its_number():
    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.fine, self.deep = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1)

        def forward(self, image):
            fine = self.fine(image)
            return [image, fine, self.deep(fine)], ["token"]

    body = Several()

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.head = body, nn.Conv2d(6, 2, 1)

        def forward(self, image):
            return self.head(self.encoder(image)[0][-1])

    network = Network(Whole(), features={"fine": "encoder[0][1]", "deep": "encoder[0][-1]"})
    assert network.channels == {"fine": 4, "deep": 6}
    image = torch.rand(1, 3, 16, 24)
    assert torch.equal(network(image).features["deep"], body(image)[0][2])
    with pytest.raises(NetworkError, match="must give an output number 3; it gives 3 outputs"):
        Network(Whole(), features={"deep": "encoder[0][3]"})
    with pytest.raises(NetworkError, match=r"got 'encodr\[0\]'"):
        Network(Whole(), features={"deep": "encodr[0]"})
