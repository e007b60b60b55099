import pytest
import torch
from tests.data.fakes import (
    write_image,
)

from segdistill.experiment.session import build
from segdistill.experiment.settings import build_plan
from segdistill.recipe.load import recipe_names
from segdistill.types import Preprocessing
from segdistill.util import DatasetNotFoundError, RecipeError


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_builds_and_takes_a_step(name, tiny):
    recipe = tiny(name)
    built = build(recipe)
    assert len(built.train_set) > 0
    assert built.val_set.split != built.train_set.split
    assert built.distiller.student.num_classes == built.labels.num_classes
    assert (built.teacher is None) == (not recipe.terms)
    images = torch.rand(2, 3, *recipe.data.crop_size)
    labels = torch.randint(0, built.labels.num_classes, (2, *recipe.data.crop_size))
    step = built.distiller(images, labels, built.teacher and built.teacher(images))
    expected = {"task", "kd", "af_dcd.mimic", "af_dcd.contrast"} if recipe.terms else {"task"}
    assert set(step.parts) == expected
    assert torch.isfinite(step.loss)
    step.loss.backward()
    before = built.distiller.student.module.classifier.weight.detach().clone()
    build_plan(recipe)
    built.optimizers[0].step()
    assert not torch.equal(built.distiller.student.module.classifier.weight, before)


def test_the_weights_and_options_of_a_recipe_reach_the_terms(tiny):
    built = build(tiny("cityscapes_deeplabv3_resnet18_af_dcd"))
    weights = {"task": 1.0, "aux": 0.4, "kd": 1.0, "af_dcd.mimic": 2e-6, "af_dcd.contrast": 5e-3}
    assert built.distiller.weights == weights
    loss = built.distiller.losses["af_dcd"]
    assert (loss.mask, loss.reduction) == ("centre", "paper")
    assert (loss.patch_size, loss.pool_size) == ((2, 2), 1)  # two patches a side of a 4x4 map
    assert built.suited.options == {"af_dcd": {"pool_size": 1, "patch_size": [2, 2]}}
    assert (loss.student_channels, loss.teacher_channels) == (112, 112)


def test_students_of_one_seed_begin_equal_whatever_they_learn_from(tiny):
    alone, distilled, other = (build(tiny(n, f"seed={s}")) for n, s in (("demo_student", 3), ("demo", 3), ("demo", 4)))
    weights = alone.distiller.student.state_dict()
    assert all(torch.equal(v, weights[k]) for k, v in distilled.distiller.student.state_dict().items())
    assert any(not torch.equal(v, weights[k]) for k, v in other.distiller.student.state_dict().items())


def test_the_optimizer_has_student_and_terms_and_not_the_teacher(tiny):
    recipe = tiny("demo", "optim.lr=0.5", "optim.momentum=0.25", "optim.weight_decay=0.125")
    built = build(recipe)
    held = {id(p) for group in built.optimizers[0].param_groups for p in group["params"]}
    assert held == {id(p) for p in built.distiller.parameters()}
    assert held.isdisjoint(id(p) for p in built.teacher.parameters())
    assert {id(p) for p in built.distiller.losses["af_dcd"].parameters()} < held
    assert built.optimizers[0].defaults["lr"] == 0.5
    assert built.optimizers[0].defaults["momentum"] == 0.25
    assert built.optimizers[0].defaults["weight_decay"] == 0.125
    assert isinstance(build(tiny("demo_student", "optim.name=adamw")).optimizers[0], torch.optim.AdamW)


def test_a_students_preprocessing_is_that_of_the_recipe(tiny):
    built = build(tiny("demo_student", "model.options.mean=[0.1,0.2,0.3]", "model.options.std=[0.5,0.5,0.25]"))
    assert built.distiller.student.preprocessing == Preprocessing((0.1, 0.2, 0.3), (0.5, 0.5, 0.25))
    assert built.distiller.network.feed.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert built.distiller.network.feed.std.flatten().tolist() == [0.5, 0.5, 0.25]


def test_unlabelled_images_join_the_training_set(tiny, tmp_path):
    write_image(tmp_path / "more/a.png")
    recipe = tiny("camvid_cpu", f"data.unlabelled={tmp_path / 'more'}")
    built = build(recipe)
    assert len(built.train_set) == 5
    assert built.train_set.labels is built.labels
    assert (built.train_set.load(4)[1] == 255).all()
    with pytest.raises(DatasetNotFoundError, match="none"):
        build(tiny("camvid_cpu", f"data.unlabelled={tmp_path / 'none'}"))


def test_further_features_can_be_named_and_terms_read_them(tiny):
    recipe = tiny(
        "demo",
        "model.features={deep: backbone.blocks.2}",
        "terms.af_dcd.layer=[deep, layer3]",
        "terms.af_dcd.groups=8",
    )
    built = build(recipe)
    assert {"layer1", "layer4", "head", "deep"} <= set(built.distiller.network.taps)
    assert built.distiller.losses["af_dcd"].teacher_channels == built.teacher.network.channels["layer3"]


def test_a_whole_term_can_be_given_as_an_override(tiny):
    built = build(tiny("demo", "terms.af_dcd={layer: layer3}", "terms.soft={loss: kd, layer: logits, weight: 3.0}"))
    assert built.distiller.losses["af_dcd"].teacher_channels == built.teacher.network.channels["layer3"]
    assert built.distiller.weights["soft"] == 3.0


def test_scales_must_not_be_empty(tiny):
    with pytest.raises(RecipeError, match=r"`evaluate.scales`"):
        tiny("demo", "evaluate.scales=[]")


# Unknown names


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.dataset=street", r"`data.dataset` must be a known data set; got 'street'. Nearest names: streets"),
        ("data.options={num_image: 3}", r"`data.options.num_image` is not an option of Streets. .*num_images"),
        ("data.options={size: 5}", r"`data.options`"),
        ("data.options={num_images: many}", r"`data.options`"),
        ("data.train_split=trian", r"`split` must be one of train, val, test; got 'trian'"),
        ("terms.kdd={weight: 1.0}", r"`terms.kdd` must name a loss; got 'kdd'. Nearest names: kd, skd, dsd. Or set"),
        ("terms.kd={loss: af_dc}", r"`terms.kd` must name a loss; got 'af_dc'. Nearest names: af_dcd"),
        ("terms.kd={temperatur: 2.0}", r"'kd' has no option 'temperatur'. Nearest names: temperature"),
        ("terms.kd={temperature: hot}", r"temperature"),
        ("terms.af_dcd.groups=many", r"groups"),
        ("terms.af_dcd.pool_size=big", r"pool_size"),
        ("terms.af_dcd.patch_size=4", r"patch_size"),
        ("terms.af_dcd.weight=1.0", r"a weight for each of mimic, contrast; got 1.0"),
        ("terms.af_dcd.weight={mimic: 1, contrasts: 2}", r"`terms.af_dcd.weight|a weight for each of mimic, contrast"),
        (
            "terms.af_dcd.layer=layer5",
            r"`layer` of the term 'af_dcd' must be .*a feature of the student; got 'layer5'. .*layer4",
        ),
        ("model.name=deeplabv3_resnet81", r"got 'deeplabv3_resnet81'. Nearest names: .*deeplabv3_resnet18"),
        ("model.name=deeplab_resnet18", r"must begin with a head.*Nearest names: deeplabv3"),
        (
            "model.features={deep: backbone.blcks.2}",
            r"must name a feature or a layer of the student.*backbone.blocks.2",
        ),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_the_nearest(tiny, override, message):
    with pytest.raises(ValueError, match=message):
        build(tiny("demo", override))


def test_an_option_that_the_backbone_misses_is_named(tiny):
    with pytest.raises(ValueError, match="drop_rat"):
        build(tiny("camvid_cpu_student", "model.options.backbone={drop_rat: 0.1}"))


def test_the_precision_of_the_training_reaches_the_teacher(tiny, save_network):
    teacher = build(tiny("demo", f"teacher.weights={save_network()}", "train.precision=bf16")).teacher
    assert teacher.precision == torch.bfloat16


def test_a_recipe_without_terms_needs_no_teacher(tiny):
    assert build(tiny("demo_student", "teacher.weights=nowhere")).teacher is None
