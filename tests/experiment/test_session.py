import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.conftest import SMALL
from tests.data.fakes import (
    make_ade20k,
    make_camvid,
    make_cityscapes,
    make_coco_stuff,
    make_folder,
    make_voc,
    write_image,
)

import segdistill
from segdistill import store
from segdistill.data import CAMVID_LABELS, CITYSCAPES_LABELS, STREETS_LABELS, Prepared, prepare
from segdistill.experiment import networks as module
from segdistill.experiment.datasets import build_dataset, build_datasets, build_sources
from segdistill.experiment.networks import build_teacher
from segdistill.experiment.session import build
from segdistill.experiment.settings import build_plan, build_protocol
from segdistill.labels import LabelTable
from segdistill.networks import Segmenter, create_model
from segdistill.prediction import load
from segdistill.prediction.load import load_predictor
from segdistill.recipe.load import load_recipe, recipe_names
from segdistill.recipe.schema import TeacherConfig
from segdistill.types import Preprocessing
from segdistill.util import DatasetNotFoundError, RecipeError, RunError

TREES = {
    "ade20k": make_ade20k,
    "camvid": make_camvid,
    "cityscapes": make_cityscapes,
    "coco_stuff": make_coco_stuff,
    "voc": make_voc,
}
TINY = [f"model.name={SMALL}", "model.options.backbone=null", "model.options.aux=null", "model.pretrained=false",
        "model.options.output_stride=16", "data.crop_size=[64,64]", "data.batch_size=2", "data.num_workers=0"]  # fmt: skip


@pytest.fixture(scope="session")
def trees(tmp_path_factory):
    """Root of a small tree of every public data set, by name."""
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in TREES.items()}


@pytest.fixture
def tiny(trees, save_network):
    """A recipe in a tiny mode, on generated data; distillations get an untrained teacher of the right classes."""

    def make(name, *overrides):
        distils = name.endswith("_af_dcd") or name in ("demo", "camvid_cpu")
        recipe = load_recipe(name, [*TINY, *(["teacher.weights=X"] if distils else []), *overrides])
        if recipe.data.dataset in trees:
            recipe = recipe.model_copy(
                update={"data": recipe.data.model_copy(update={"root": str(trees[recipe.data.dataset])})}
            )
        if distils and recipe.teacher.weights == "X":
            labels = build_datasets(recipe)[0].labels
            recipe = recipe.model_copy(update={"teacher": TeacherConfig(weights=str(save_network(labels)))})
        return recipe

    return make


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
    before = built.distiller.student.classifier.weight.detach().clone()
    build_plan(recipe)
    built.optimizers[0].step()
    assert not torch.equal(built.distiller.student.classifier.weight, before)


@pytest.mark.parametrize(
    ("name", "stride"),
    sorted(
        {(r.model.name, r.model.output_stride) for r in (load_recipe(n, ["teacher.weights=X"]) for n in recipe_names())}
    ),
)
def test_the_networks_that_recipes_name_exist(name, stride):
    with torch.device("meta"):
        network = create_model(name, num_classes=5, output_stride=stride)
        output = network.eval()(torch.empty(1, 3, 64, 96))
    assert output.logits.shape == (1, 5, 64 // stride, 96 // stride)


def test_the_weights_and_options_of_a_recipe_reach_the_terms(tiny):
    built = build(tiny("cityscapes_deeplabv3_resnet18_af_dcd"))
    weights = {"task": 1.0, "aux": 0.4, "kd": 1.0, "af_dcd.mimic": 2e-6, "af_dcd.contrast": 5e-3}
    assert built.distiller.weights == weights
    loss = built.distiller.losses["af_dcd"]
    assert (loss.mask, loss.patch_size, loss.pool_size, loss.reduction) == ("centre", (4, 4), 4, "paper")
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
    built = build(tiny("demo_student", "model.mean=[0.1,0.2,0.3]", "model.std=[0.5,0.5,0.25]"))
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


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("cityscapes_teacher", []),
        ("voc_teacher", []),
        ("camvid_teacher", []),
        ("ade20k_teacher", []),
        ("coco_stuff_teacher", ["evaluate.protocol=paper"]),
    ],
)
def test_a_prepared_cache_takes_the_place_of_the_files(name, overrides, tiny, tmp_path):
    write_image(tmp_path / "more/a.png")
    recipe = tiny(name, f"data.unlabelled={tmp_path / 'more'}", *overrides)
    prepare(build_sources(recipe), tmp_path / "cache")
    cached = recipe.model_copy(update={"data": recipe.data.model_copy(update={"cache": str(tmp_path / "cache")})})
    found, expected = build(cached), build(recipe)
    for ours, theirs in zip(found[1:4], expected[1:4], strict=True):
        assert (ours is None) == (theirs is None)
        for index in range(0 if theirs is None else len(theirs)):
            assert all(torch.equal(a, b) for a, b in zip(ours.load(index), theirs.load(index), strict=True))
    assert isinstance(found.val_set, Prepared)
    assert found.labels == expected.labels


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


def test_an_option_that_the_data_set_misses_is_named(tmp_path):
    data = load_recipe("demo_student", ["data.dataset=folder", f"data.root={make_folder(tmp_path, listed=False)}"])
    with pytest.raises(RecipeError, match=r"`data.options.num_\w+` is not an option of Folder"):
        build_dataset(data.data, "train")


@pytest.mark.parametrize("name", ["camvid_cpu_teacher", "voc_teacher"])
def test_a_missing_root_is_an_error_that_says_what_to_add(name):
    with pytest.raises(RecipeError, match=r"`data.root` must be the folder .* got null. Add data.root=FOLDER"):
        build(load_recipe(name, ["data.root=null"]))
    with pytest.raises(DatasetNotFoundError, match="nowhere"):
        build(load_recipe(name, ["data.root=nowhere"]))


def test_weights_that_cannot_be_fetched_are_a_sentence(monkeypatch, tiny):
    def offline(*_, **__):
        raise RuntimeError("timm could not load its weights of `x` (no network).")

    monkeypatch.setattr(module, "create_model", offline)
    with pytest.raises(RecipeError, match="timm could not load its weights"):
        build(tiny("demo_student"))


# Splits and protocols


def splits(recipe):
    return [dataset and dataset.split for dataset in build_datasets(recipe)]


def test_weights_are_chosen_on_val_and_under_the_paper_protocol_on_test(tiny):
    assert splits(tiny("camvid_deeplabv3_resnet18")) == ["train", "val", "test"]
    assert splits(tiny("camvid_deeplabv3_resnet18", "evaluate.protocol=paper")) == ["train", "test", None]
    assert splits(tiny("voc_teacher", "evaluate.protocol=paper")) == ["train", "val", None]
    assert splits(tiny("demo_student", "data.val_split=null")) == ["train", None, None]


def test_coco_stuff_has_171_classes_and_182_under_the_paper_protocol(tiny):
    assert build_datasets(tiny("coco_stuff_teacher"))[0].labels.num_classes == 171
    paper = tiny("coco_stuff_teacher", "evaluate.protocol=paper")
    assert [dataset.labels.num_classes for dataset in build_datasets(paper)[:2]] == [182, 182]
    chosen = tiny("coco_stuff_teacher", "evaluate.protocol=paper", "data.options={classes: 171}")
    assert build_datasets(chosen)[0].labels.num_classes == 171


def test_the_protocol_and_the_plan_are_those_of_the_recipe(tiny):
    protocol = build_protocol(tiny("demo", "evaluate={scales: [0.5, 1.0], flip: true, window: [32, 48]}"))
    assert protocol == ((0.5, 1.0), True, (32, 48), "skip")
    assert build_protocol(tiny("demo", "evaluate.protocol=paper")).absent == "zero"
    plan = build_plan(
        tiny("demo", "train.precision=bf16", "train.accumulate=2", "optim.clip=3.0", "optim.clip_terms=15", "seed=7",
             "train.iterations=90", "train.val_every=30", "train.log_every=10", "optim.lr=0.02")
    )  # fmt: skip
    assert (plan.precision, plan.accumulate, plan.clip, plan.clip_terms) == (torch.bfloat16, 2, 3.0, 15.0)
    assert (plan.seed, plan.iterations, plan.batch_size, plan.log_every) == (7, 90, 2, 10)
    assert plan.val_every == plan.save_every == 30
    assert build_plan(tiny("demo", "train.save_every=5")).save_every == 5
    assert plan.lr(0) == 0.02
    assert plan.lr(45) == pytest.approx(0.02 * 0.5**0.9)
    assert build_plan(tiny("demo", "optim.min_lr=0.01", "train.iterations=90")).lr(89) == 0.01


# Teachers and trained networks


def test_a_teacher_of_other_classes_is_refused(save_network):
    with pytest.raises(RecipeError, match=r"must know the classes of the data set \(9: .*knows 11: Sky, Building"):
        build_teacher(TeacherConfig(weights=str(save_network(CAMVID_LABELS))), STREETS_LABELS)
    renamed = LabelTable.from_names([*STREETS_LABELS.names[:-1], "other"])
    with pytest.raises(RecipeError, match="must know the classes of the data set"):
        build_teacher(TeacherConfig(weights=str(save_network(renamed))), STREETS_LABELS)


def test_a_teacher_keeps_its_own_preprocessing_and_features(tmp_path):
    network = create_model(SMALL, num_classes=9, output_stride=16, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), bgr=True)
    segdistill.networks.save_student(tmp_path / "x.safetensors", network, labels_json=STREETS_LABELS.to_json())
    config = TeacherConfig(weights=str(tmp_path / "x.safetensors"), features={"deep": "backbone.blocks.2"})
    teacher = build_teacher(config, STREETS_LABELS)
    image = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    expected = network.eval()((image.flip(1) - mean) / std)
    output = teacher(image)
    torch.testing.assert_close(output.logits, expected.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.features["layer4"], expected.features["layer4"], rtol=1e-4, atol=1e-4)
    assert "deep" in output.features


def test_a_teacher_is_folded_and_follows_the_precision_of_the_training_unless_told(save_network):
    weights = str(save_network())
    follows = build_teacher(TeacherConfig(weights=weights), STREETS_LABELS, precision="bf16")
    assert (follows.precision, follows.num_folded > 0) == (torch.bfloat16, True)
    told = build_teacher(
        TeacherConfig(weights=weights, precision="fp32", fold_bn=False), STREETS_LABELS, precision="bf16"
    )
    assert (told.precision, told.num_folded) == (torch.float32, 0)


def test_the_precision_of_the_training_reaches_the_teacher(tiny, save_network):
    teacher = build(tiny("demo", f"teacher.weights={save_network()}", "train.precision=bf16")).teacher
    assert teacher.precision == torch.bfloat16


def test_a_recipe_without_terms_needs_no_teacher(tiny):
    assert build(tiny("demo_student", "teacher.weights=nowhere")).teacher is None


def test_load_takes_a_run_folder_or_a_file(save_network, tmp_path):
    file = save_network()
    run = tmp_path / "run"
    run.mkdir()
    (run / store.STUDENT).write_bytes(file.read_bytes())
    image = (torch.rand(3, 24, 40) * 255).to(torch.uint8)
    masks = []
    for path in (run, str(run), file):
        predictor = load(path)
        assert isinstance(predictor.network, Segmenter)
        assert not predictor.network.training
        assert tuple(predictor.names) == STREETS_LABELS.names
        assert tuple(predictor.colors) == STREETS_LABELS.colors
        masks.append(predictor(image))
    assert all(torch.equal(mask, masks[0]) for mask in masks)
    assert masks[0].shape == (24, 40)


def test_load_reads_the_image_scale_of_training(save_network, tmp_path):
    network = create_model(SMALL, num_classes=9, output_stride=16)
    path = tmp_path / "x.safetensors"
    segdistill.networks.save_student(path, network, labels_json=STREETS_LABELS.to_json(), extra={"image_scale": "0.5"})
    assert load(path).image_scale == 0.5
    assert load(save_network()).image_scale == 1.0


@pytest.mark.parametrize("scale", ["half", "nan", "-1", "0", "inf"])
def test_an_image_scale_that_cannot_be_is_refused(tmp_path, scale):
    network = create_model(SMALL, num_classes=9, output_stride=16)
    path = tmp_path / "x.safetensors"
    segdistill.networks.save_student(path, network, labels_json=STREETS_LABELS.to_json(), extra={"image_scale": scale})
    with pytest.raises(ValueError, match=r"x\.safetensors .*image_scale"):
        load(path)


def test_a_label_table_of_another_length_than_the_logits_is_refused(tmp_path):
    network = create_model(SMALL, num_classes=9, output_stride=16)
    path = tmp_path / "x.safetensors"
    segdistill.networks.save_student(path, network, labels_json=CITYSCAPES_LABELS.to_json())
    with pytest.raises(ValueError, match=r"x\.safetensors .*9 classes.* 19"):
        load(path)


def test_load_says_what_it_found_instead(tmp_path, save_network):
    with pytest.raises(RunError, match="none does not exist"):
        load(tmp_path / "none")
    with pytest.raises(RunError, match=r"must be a run folder or a student\.safetensors; .* Is the run complete"):
        load(tmp_path)
    (tmp_path / "x.safetensors").write_bytes(save_network().read_bytes()[:1000])
    with pytest.raises(ValueError, match="must be a whole safetensors file"):
        load(tmp_path / "x.safetensors")
    save_file(load_file(save_network()), tmp_path / "bare.safetensors")
    with pytest.raises(ValueError, match="must be a network saved by segdistill"):
        load(tmp_path / "bare.safetensors")


@pytest.mark.parametrize("name", ["x.pth", "x.pth.tar", "x.pt"])
def test_the_authors_files_need_a_name_and_classes(tmp_path, name):
    with pytest.raises(ValueError, match="is a checkpoint of the authors, say which network it is"):
        load(tmp_path / name)
    torch.save({"x": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(ValueError, match="deeplabv3_resnet18"):
        load_predictor(tmp_path / name, official="deeplabv3_resnet18", labels=CITYSCAPES_LABELS)
