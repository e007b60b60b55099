import pytest
import torch
from PIL import Image
from tests.data.fakes import HEIGHT, WIDTH, make_camvid, make_folder, truncate, write_image, write_mask

from segdistill.data import CAMVID_LABELS, STREETS_LABELS, CamVid
from segdistill.experiment.checking import check, try_step
from segdistill.experiment.session import build
from segdistill.experiment.training import run_recipe
from segdistill.recipe.load import load_recipe

TINY = ["data.options={num_images: 2, num_train: 2, size: [32, 48]}", "data.crop_size=[32,48]"]


def folder_recipe(root, *overrides):
    settings = ["data.dataset=folder", "data.options={}", f"data.root={root}", "data.crop_size=[32,32]"]
    return load_recipe("demo_student", [*settings, *overrides])


def test_all_planted_faults_are_found_in_one_pass(tmp_path):
    root = make_folder(tmp_path, num_images=6)
    (root / "train/masks/scene0.png").unlink()
    write_mask(root / "train/masks/scene1.png", range(3), size=(5, 6))
    truncate(root / "train/images/scene2.jpg")
    write_mask(root / "train/masks/scene3.png", [0, 1, 9])
    (root / "val/masks/scene4.png").write_bytes(b"no picture")
    write_mask(root / "val/masks/orphan.png", [0])
    checkup = check(folder_recipe(root))
    assert len(checkup.problems) == 6
    for path, reason in (
        ("train/masks/scene0.png", "does not exist. Restore this mask"),
        ("train/masks/scene1.png", "must have the size of its image"),
        ("train/images/scene2.jpg", "cannot be decoded as image"),
        ("val/masks/scene4.png", "cannot be decoded as mask"),
        ("val/masks/orphan.png", "is a mask without an image. Restore the image"),
    ):
        found = [problem for problem in checkup.problems if str(root / path) in problem.split(" ")[0]]
        assert len(found) == 1, path
        assert reason in found[0]
        assert found[0].endswith(".")
    assert any("1 of 12 masks contain the value 9" in problem for problem in checkup.problems)
    assert {name: len(report.faults) for name, report in checkup.splits.items()} == {"train": 4, "val": 2}
    assert int(checkup.splits["train"].histogram.sum()) == 2 * HEIGHT * WIDTH


def test_a_clean_set_has_its_histogram_shapes_and_size(tmp_path):
    root = make_camvid(tmp_path)
    checkup = check(load_recipe("camvid_cpu_student", [f"data.root={root}", "data.crop_size=[64,96]"]))
    assert checkup.problems == []
    assert checkup.class_names == CAMVID_LABELS.names
    assert set(checkup.splits) == {"train", "val"}
    masks = torch.stack([CamVid(root, "train")[index][1] for index in range(4)])
    assert checkup.splits["train"].histogram.tolist() == [int((masks == k).sum()) for k in range(11)]
    assert checkup.shapes[0] == ("logits", (1, 11, 4, 6), None)
    assert ("layer4", (1, 160, 4, 6), None) in checkup.shapes


def test_every_split_that_a_run_reads_is_scanned(tmp_path, save_network):
    write_image(tmp_path / "more/x.png")
    root = make_camvid(tmp_path / "camvid")
    seen = []
    recipe = load_recipe(
        "camvid_cpu", [f"data.root={root}", "data.crop_size=[64,96]", "data.test_split=test",
                       f"data.unlabelled={tmp_path / 'more'}", f"teacher.weights={save_network(CAMVID_LABELS)}"],
    )  # fmt: skip
    checkup = check(recipe, advance=lambda *args: seen.append(args))
    assert checkup.problems == []
    assert {name: report.num_samples for name, report in checkup.splits.items()} == {
        "train": 4, "val": 2, "test": 3, "unlabelled": 1,
    }  # fmt: skip
    assert all(len(report.histogram) == 11 for report in checkup.splits.values())
    assert seen[-1] == ("unlabelled", 1, 1)
    assert ("train", 4, 4) in seen
    assert ("layer4", (1, 160, 4, 6), (1, 112, 4, 6)) in checkup.shapes


NETWORK = ["model.name=deeplabv3_mobilenetv2_035", "model.options.backbone=null", "model.options.output_stride=16"]


def test_weights_gradients_and_optimizer_state_are_counted():
    sgd, adamw = (check(load_recipe("demo_student", [*NETWORK, *TINY, f"optim.name={n}"])) for n in ("sgd", "adamw"))
    assert sgd.problems == adamw.problems == []
    assert sgd.weight_bytes == 3 * 4 * 898_281
    assert adamw.weight_bytes == 4 * 4 * 898_281


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("model.features={deep: backbone.blcks.2}", "must name a feature or a layer of the student"),
        ("terms.af_dcd.layer=layer5", "'logits', 'aux_logits' or a feature of the student; got 'layer5'"),
        ("teacher.features={deep: backbone.blcks.2}", "must name a feature or a layer of the teacher"),
        ("terms.af_dcd.groups=5", "groups"),
        ("terms.kdd={weight: 1.0}", "must name a loss; got 'kdd'"),
        ("model.name=deeplabv3_resnet81", "resnet18"),
    ],
)
def test_a_wrong_name_is_a_problem_and_the_data_are_scanned_all_the_same(save_network, override, problem):
    checkup = check(load_recipe("demo", [*TINY, f"teacher.weights={save_network()}", override]))
    assert len(checkup.problems) == 1
    assert problem in checkup.problems[0]
    assert checkup.splits["train"].num_samples == 2
    assert checkup.shapes == []
    assert checkup.weight_bytes == 0


def test_a_teacher_of_other_classes_or_none_is_a_problem(save_network, tmp_path):
    checkup = check(load_recipe("demo", [*TINY, f"teacher.weights={save_network(CAMVID_LABELS)}"]))
    assert ["must know the classes of the data; both know `sky`" in problem for problem in checkup.problems] == [True]
    checkup = check(load_recipe("demo", [*TINY, f"teacher.weights={tmp_path / 'none'}"]))
    assert ["does not exist" in problem for problem in checkup.problems] == [True]


def test_a_missing_root_is_one_problem():
    checkup = check(load_recipe("voc_teacher", ["data.root=nowhere", "model.pretrained=false"]))
    assert len(checkup.problems) == 1
    assert "nowhere" in checkup.problems[0]
    assert checkup.splits == {}


def test_checking_a_recipe_trains_nothing_and_draws_the_streets(save_network):
    checkup = check(load_recipe("demo", [*TINY, f"teacher.weights={save_network()}"]))
    assert checkup.problems == []
    assert checkup.class_names == STREETS_LABELS.names
    assert checkup.splits["train"].image_sizes == {(32, 48): 2}


def test_every_run_refuses_faulty_data_before_it_starts(tmp_path):
    root = make_camvid(tmp_path / "data", num_images=5)
    for index, image in enumerate(sorted((root / "val").iterdir())):
        truncate(image)
        assert index < 5
    (root / "trainannot" / sorted(p.name for p in (root / "trainannot").iterdir())[1]).unlink()
    recipe = load_recipe("camvid_cpu_student", [f"data.root={root}", "data.crop_size=[64,96]", "train.device=cpu"])
    with pytest.raises(ValueError, match=r"data has faults: .*annot.* does not exist.* Restore .*cannot be decoded"):
        run_recipe(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()  # the same --out is free again


def test_activations_grow_with_the_micro_batch_and_leave_statistics_alone():
    built = build(load_recipe("demo_student", [*NETWORK, *TINY]))
    before = {name: tensor.clone() for name, tensor in built.distiller.state_dict().items()}
    sizes = []
    for override in ("data.batch_size=4", "data.batch_size=8", "train.accumulate=2"):
        recipe = load_recipe("demo_student", [*NETWORK, *TINY, "data.batch_size=8", override])
        sizes.append(try_step(built, recipe, torch.device("cpu"))[1])
    assert sizes[0] > 100_000
    assert sizes[1] == 2 * sizes[0]
    assert sizes[2] == sizes[0]
    assert all(torch.equal(tensor, before[name]) for name, tensor in built.distiller.state_dict().items())


def test_a_contact_sheet_is_drawn_where_it_is_asked_for(tmp_path):
    root = make_folder(tmp_path, num_images=2)
    sheet = tmp_path / "new/sheet.png"
    check(folder_recipe(root), pictures=sheet)
    with Image.open(sheet) as picture:
        assert picture.width > 300
        assert picture.height > 225


def test_a_contact_sheet_needs_the_name_of_a_picture_before_any_file_is_read(tmp_path):
    with pytest.raises(ValueError, match=r"`pictures` must name a \.png or \.jpg file; got 'sheet.pdf'"):
        check(folder_recipe(tmp_path / "nowhere"), pictures="sheet.pdf")
