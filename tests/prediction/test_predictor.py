import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from PIL import Image
from tests.data.fakes import write_image
from torch import nn

from segdistill.data import Images, eval_loader
from segdistill.engine.evaluation import Protocol, class_scores, to_device
from segdistill.labels import LabelTable
from segdistill.networks import Network
from segdistill.prediction.pixels import pixels_of
from segdistill.prediction.predictor import Predictor
from segdistill.types import Preprocessing
from segdistill.util import DataError, ImageError

COLORS = [(10, 20, 30), (200, 0, 100), (0, 250, 5)]


def predictor(**options):
    torch.manual_seed(0)
    return predictor_of(nn.Conv2d(3, 3, 5, stride=2, padding=2), **options)


def predictor_of(module, *, preprocessing=Preprocessing(), **options):
    table = LabelTable.from_names(["a", "b", "c"], COLORS)
    return Predictor(Network(module, preprocessing=preprocessing, labels=table), **options)


def read(path):
    return pixels_of(path).float() / 255


@pytest.fixture
def picture(tmp_path):
    write_image(tmp_path / "in/picture.png", seed=3)
    return tmp_path / "in/picture.png"


def test_path_picture_array_and_tensors_give_the_same_mask(picture):
    predict = predictor()
    pixels = np.array(Image.open(picture))
    tensor = torch.from_numpy(pixels).movedim(-1, 0)
    masks = [predict(i) for i in (picture, str(picture), Image.open(picture), pixels, tensor, tensor.float() / 255)]
    assert masks[0].shape == pixels.shape[:2]
    assert masks[0].dtype == torch.uint8
    assert len(masks[0].unique()) > 1
    assert all(torch.equal(mask, masks[0]) for mask in masks)


def test_the_mask_is_the_argmax_of_normalised_and_resized_logits(picture):
    pre = Preprocessing((0.1, 0.2, 0.3), (0.5, 0.4, 0.3), bgr=True)
    predict = predictor(preprocessing=pre)
    image = read(picture).flip(0)[None]
    image = (image - torch.tensor(pre.mean).view(1, 3, 1, 1)) / torch.tensor(pre.std).view(1, 3, 1, 1)
    logits = F.interpolate(predict.network.module(image), image.shape[-2:], mode="bilinear", align_corners=True)
    assert torch.equal(predict(picture), logits.argmax(1)[0].byte())


def test_grey_transparent_and_palette_pictures_are_read_as_rgb(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (6, 8), dtype=np.uint8)
    expected = torch.from_numpy(grey)[None].expand(3, -1, -1).float() / 255
    for mode in ("L", "LA", "RGBA", "P"):
        Image.fromarray(grey).convert(mode).save(tmp_path / "x.png")
        assert torch.equal(read(tmp_path / "x.png"), expected), mode


def test_a_photograph_is_turned_upright_as_in_training(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    write_image(tmp_path / "x.png", size=(8, 12))
    Image.open(tmp_path / "x.png").save(tmp_path / "turned.png", exif=exif)
    upright = read(tmp_path / "turned.png")
    assert torch.equal(upright, read(tmp_path / "x.png").rot90(-1, (1, 2)))


def test_image_scale_shrinks_what_the_network_sees_and_not_the_mask(picture):
    seen = []

    class Spy(nn.Conv2d):
        def forward(self, image):
            seen.append(tuple(image.shape[-2:]))
            return super().forward(image)

    predict = predictor_of(Spy(3, 3, 1), image_scale=0.5)
    seen.clear()  # the trial run
    mask = predict(picture)
    assert seen == [(12, 20)]
    assert mask.shape == (24, 40)


def test_the_protocol_is_followed(picture):
    sizes = []

    class Spy(nn.Conv2d):
        def forward(self, image):
            sizes.append(tuple(image.shape[-2:]))
            return super().forward(image)

    predict = predictor_of(Spy(3, 3, 1))
    sizes.clear()  # the trial run
    predict(picture, Protocol(scales=(0.5, 1.0), flip=True))
    assert sizes == [(12, 20), (12, 20), (24, 40), (24, 40)]


def test_predicting_puts_the_network_in_evaluation_mode(picture):
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).train()
    before = network[1].running_mean.clone()
    predictor_of(network)(picture)
    assert torch.equal(network[1].running_mean, before)


def test_the_network_normalises_and_gives_logits():
    predict = predictor()
    image = torch.rand(2, 3, 8, 8)
    pre = Preprocessing()
    ready = (image - torch.tensor(pre.mean).view(1, 3, 1, 1)) / torch.tensor(pre.std).view(1, 3, 1, 1)
    assert torch.allclose(predict.network.segment(image), predict.network.module(ready))
    assert predict.to("cpu") is predict
    assert predict.device == torch.device("cpu")


def test_a_mask_image_holds_train_ids_and_class_colours(tmp_path):
    mask = torch.tensor([[0, 1, 2], [2, 1, 0]], dtype=torch.uint8)
    predictor().mask_image(mask).save(tmp_path / "mask.png")
    saved = Image.open(tmp_path / "mask.png")
    assert saved.mode == "P"
    assert np.array_equal(np.array(saved), mask.numpy())
    assert np.array_equal(np.array(saved.convert("RGB")), np.array(COLORS, np.uint8)[mask.numpy()])


def test_an_overlay_mixes_image_and_colours():
    image = np.full((2, 3, 3), 100, np.uint8)
    mask = torch.tensor([[0, 1, 2], [2, 1, 0]], dtype=torch.uint8)
    colors = np.array(COLORS)[mask.numpy()]
    for opacity in (0.0, 0.25, 1.0):
        mixed = np.array(predictor().overlay(image, mask, opacity))
        assert np.abs(mixed - ((1 - opacity) * 100 + opacity * colors)).max() <= 0.5


def test_probabilities_add_up_and_their_largest_is_the_mask(picture):
    predict = predictor()
    for protocol in (Protocol(), Protocol((0.5, 1.0), flip=True), Protocol(window=(16, 16))):
        likely = predict.probabilities(picture, protocol)
        assert likely.shape == (3, 24, 40)
        assert torch.allclose(likely.sum(0), torch.ones(24, 40), atol=1e-5)
        assert torch.equal(likely.argmax(0).byte(), predict(picture, protocol))


def test_a_window_gives_the_mask_that_scoring_gives(picture):
    predict = predictor(image_scale=0.5)
    protocol = Protocol((0.75, 1.0), True, (8, 16))
    batch = to_device(next(iter(eval_loader(Images(picture), image_scale=0.5))), torch.device("cpu"))
    scores = class_scores(predict.network.segment, batch.image, (24, 40), protocol)
    assert torch.equal(predict(picture, protocol), scores.argmax(1)[0].byte())


def test_a_truncated_image_is_named(tmp_path):
    write_image(tmp_path / "x.jpg", size=(64, 64))
    content = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"x\.jpg` cannot be decoded as image"):
        predictor()(tmp_path / "x.jpg")


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.png` does not exist"):
        predictor()(tmp_path / "none.png")


def test_an_image_of_16_bits_is_read_whole(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (4, 5, 3)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", values, photometric="rgb")
    assert torch.equal(pixels_of(tmp_path / "x.tif"), pixels_of(values))
    assert ((pixels_of(values) * 65535).round().permute(1, 2, 0).numpy() == values).all()


def test_images_of_any_number_of_channels():
    network = Network(
        torch.nn.Conv2d(5, 2, 1),
        preprocessing=Preprocessing(mean=(0.1,) * 5, std=(0.2,) * 5),
        labels=LabelTable.from_names(["a", "b"]),
    )
    predict = Predictor(network)
    pixels = torch.rand(5, 6, 7)
    assert predict.channels == 5
    assert torch.equal(predict(pixels), network(pixels[None]).logits.argmax(1)[0].to(torch.uint8))
    assert predict.overlay(pixels, predict(pixels)).size == (7, 6)
    with pytest.raises(ImageError, match=r"must be an \(H, W, 5\) array or a \(5, H, W\) tensor; got \(3, 6, 7\)"):
        predict(pixels[:3])
    with pytest.raises(ImageError, match="a PIL image; got one of mode RGB for a network of 5 channels"):
        predict(Image.new("RGB", (7, 6)))


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), torch.zeros(1, 3, 4, 4)])
def test_an_array_of_another_shape_is_refused(image):
    with pytest.raises(ImageError, match=r"`image` must be an \(H, W, 3\) array or a \(3, H, W\) tensor"):
        predictor()(image)


@pytest.mark.parametrize("dtype", [np.int64, np.int8])
def test_an_array_of_other_integers_is_refused(dtype):
    with pytest.raises(ImageError, match="`image` must be uint8, or float in"):
        predictor()(np.zeros((4, 4, 3), dtype))


@pytest.mark.parametrize("top", [255.0, 1.01, float("nan"), float("inf")])
def test_floats_beyond_one_are_refused(top):
    pixels = np.zeros((4, 4, 3), np.float32)
    pixels[0, 0, 0] = top
    with pytest.raises(ImageError, match=r"`image` of floats must lie in \[0, 1\].*Divide by 255"):
        predictor()(pixels)


@pytest.mark.parametrize("image", [["a.png", "b.png"], None, 3])
def test_several_images_at_once_are_refused_in_words(image):
    with pytest.raises(ImageError, match=r"must be one image.*Call the predictor once for each image"):
        predictor()(image)


def test_a_network_without_classes_cannot_predict():
    with pytest.raises(ValueError, match="must know its classes"):
        Predictor(Network(nn.Conv2d(3, 3, 1)))


def test_a_predictor_shows_itself_in_one_line():
    shown = repr(predictor(metadata={"recipe": "student"}))
    assert shown == "Predictor(Network(Conv2d, 3 classes, 0.00 M parameters), cpu, trained as student: a, b, c)"


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.37])
def test_scoring_and_prediction_see_the_same_bits(tmp_path, scale):
    write_image(tmp_path / "x.png", size=(37, 53), seed=1)
    seen = []

    class Spy(nn.Conv2d):
        def forward(self, image):
            seen.append(image.clone())
            return super().forward(image)

    predict = predictor_of(Spy(3, 3, 1), image_scale=scale)
    seen.clear()  # the trial run
    mask = predict(tmp_path / "x.png")
    dataset = Images(tmp_path / "x.png")
    batch = to_device(next(iter(eval_loader(dataset, image_scale=scale))), torch.device("cpu"))
    scores = class_scores(predict.network.segment, batch.image, (37, 53), Protocol())
    assert torch.equal(seen[0], seen[1])
    assert seen[0].stride() == seen[1].stride()  # or other kernels would round otherwise
    assert torch.equal(mask, scores.argmax(1)[0].byte())
