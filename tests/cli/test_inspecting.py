import json
import re

from tests.cli.settings import TINY
from tests.data.fakes import make_camvid, make_folder, truncate

from segdistill import measure
from segdistill.recipe.load import recipe_names


def test_list_prints_every_recipe_model_data_set_and_loss(ok):
    printed = ok("list")
    rows = {line.split()[0] for line in printed.splitlines() if line.strip()}
    assert set(recipe_names()) <= rows
    for name in ("deeplabv3_resnet18", "pspnet_mobilenetv2_050", "camvid", "streets", "folder", "kd", "af_dcd"):
        assert name in printed
    assert "published mIoU 77.03" in printed
    (row,) = [line.split() for line in printed.splitlines() if "huggingface:segformer" in line]
    assert "3.72" in row  # million parameters of SegFormer-B0 for 19 classes


def test_list_measures_small_students_here(ok, monkeypatch):
    monkeypatch.setattr(measure, "SMALL_STUDENTS", measure.SMALL_STUDENTS[:1])
    monkeypatch.setattr(measure.measure_students, "__defaults__", (measure.SMALL_STUDENTS,))
    printed = ok("list", "--measure")
    assert "zoo:lraspp_mobilenetv3_small_050" in printed
    assert "this machine" in printed
    assert "small_100" not in printed
    assert "recipes" not in printed


def test_list_shows_the_layers_of_a_network_of_a_source(ok, segdistill_):
    printed = ok("list", "--layers", "zoo:deeplabv3_mobilenetv2_035", "output_stride=16", "num_classes=4")
    assert printed.startswith("network: Network(zoo deeplabv3_mobilenetv2_035, 4 classes")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    assert ["layer4", "112", "16", "32x32"] in rows
    assert ["head", "128", "16", "32x32"] in rows
    assert ["backbone.blocks.6", "112", "16", "32x32"] in rows
    assert "where a term reads it" not in printed  # it names both itself
    for wrong, said in (
        (["--layers", "zoo:deeplabv3_resnet"], "`name`"),
        (["--layers", "zoo:deeplabv3_resnet18", "output_strid=16"], "`options.output_strid` is not an option of"),
        (["--layers", "zoo:deeplabv3_resnet18", "aux"], "must be KEY=VALUE; got 'aux'"),
        (["--layers", "nothing"], "there is no recipe 'nothing'"),
        (["seed=1"], "belong to --layers NETWORK"),
    ):
        code, _, err = segdistill_("list", *wrong)
        assert code == 2
        assert said in err


def test_list_shows_the_layers_of_student_and_teacher_of_a_recipe_and_of_a_run(ok, tmp_path, save_network):
    run = tmp_path / "run"
    run.mkdir()
    (run / "student.safetensors").write_bytes(save_network().read_bytes())
    printed = ok("list", "--layers", "demo", *TINY, f"teacher.weights={run}")
    assert printed.index("student: Network(zoo deeplabv3_mobilenetv2_035") < printed.index("teacher: Network(zoo")
    assert "map of 32x48" in printed
    trained = ok("train", "demo_student", *TINY, "--out", tmp_path / "trained").splitlines()[-1]
    assert "trained" in trained
    assert "map of 32x48" in ok("list", "--layers", tmp_path / "trained")


def test_init_says_what_it_found_and_what_is_next(segdistill_, tmp_path):
    root = make_folder(tmp_path / "data")
    (root / "train/masks/scene1.png").unlink()
    code, out, err = segdistill_("init", root, "--out", tmp_path)
    assert code == 0, err
    lines = out.splitlines()
    assert len(lines) <= 15
    assert f"folder: {root}: images in {{split}}/images, masks in {{split}}/masks (data set `folder`)" in lines
    assert "classes: 3, named by classes.txt" in lines
    assert "to settle: 1 image of the splits without a mask: add masks, or move the images elsewhere" in lines
    assert f"  segdistill check {tmp_path}/student.yaml" in lines
    code, _, err = segdistill_("init", root, "--out", tmp_path)
    assert code == 2
    assert "student.yaml" in err
    assert "would be overwritten" in err
    assert segdistill_("init", root, "--out", tmp_path, "--force")[0] == 0


def test_check_prints_the_histogram_and_finds_nothing_wrong(ok, tmp_path):
    root = make_camvid(tmp_path)
    printed = ok("check", "camvid_cpu_student", f"data.root={root}", "data.crop_size=[64,96]")
    assert "train: 4 images, 0 faulty; sizes 24x40 (4)" in printed
    assert "logits: student (1, 11, 4, 6)" in printed
    assert "camvid_cpu_student: ready, with 2 warnings to read" in printed


def test_profile_prints_a_row_for_every_part_of_the_step(ok, tmp_path, save_network):
    numbers = tmp_path / "numbers.json"
    arguments = [*TINY, f"teacher.weights={save_network()}", "--steps", "1", "--json", numbers]
    printed = ok("profile", "demo", *arguments)
    stages = json.loads(numbers.read_text())["stages"]
    assert [stage["name"] for stage in stages] == ["loading", "teacher", "student", "task", "kd", "af_dcd", "optimizer"]
    for stage in stages:
        row = next(line.split() for line in printed.splitlines() if stage["name"] in line)
        assert f"{stage['forward_ms']:.2f}" in row
        assert ("-" if stage["backward_ms"] is None else f"{stage['backward_ms']:.2f}") in row
        assert f"{100 * stage['share']:.1f}" in row
    assert "cpu, fp32, channels_last, teacher with " in printed
    assert re.search(r"Slowest: \w+, \d+ % of the step\. \w+", printed)
    assert " batch norms folded, 2 images a step, medians over 1 steps" in printed


def test_check_prints_every_fault_and_leaves_with_1(segdistill_, tmp_path):
    root = make_folder(tmp_path)
    truncate(root / "train/images/scene0.jpg")
    (root / "val/masks/scene1.png").unlink()
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        f"data: {{dataset: folder, root: {root}, crop_size: [32, 32], num_workers: 0}}\n"
        "model: {name: deeplabv3_mobilenetv2_035, options: {output_stride: 16}}\ntrain: {iterations: 1}\n"
    )
    code, out, _ = segdistill_("check", recipe)
    assert code == 1
    problems = [line for line in out.splitlines() if line.startswith("problem:")]
    assert len(problems) == 2
    assert f"{root}/train/images/scene0.jpg cannot be decoded as image" in problems[0]
    assert f"{root}/val/masks/scene1.png does not exist. Restore this mask" in problems[1]


def test_check_says_problems_first_and_its_verdict_last_and_writes_json(segdistill_, tmp_path):
    root, numbers = make_folder(tmp_path / "data"), tmp_path / "found.json"
    (root / "classes.txt").write_text("a\nb\nc\nnever\n")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        f"data: {{dataset: folder, root: {root}, crop_size: [32, 32], num_workers: 0}}\n"
        "model: {name: deeplabv3_mobilenetv2_035, options: {output_stride: 16}}\ntrain: {iterations: 1}\n"
    )
    code, out, _ = segdistill_("check", recipe, "--json", numbers)
    lines = out.splitlines()
    assert code == 1
    assert lines[0].startswith("problem: No pixel of any split is `never`")
    assert lines[1].startswith("warning: 3 pictures of val are in train too")
    assert lines[-1].startswith("mine: not ready: 1 thing to mend first: No pixel of any split")
    found = json.loads(numbers.read_text())
    assert (found["ready"], [f["kind"] for f in found["findings"]]) == (False, ["absent-class", "same-picture"])


def test_prepare_writes_a_cache_that_a_recipe_reads(segdistill_, tmp_path):
    root, cache = make_folder(tmp_path / "data"), tmp_path / "cache"
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        f"data: {{dataset: folder, root: {root}, crop_size: [32, 32], num_workers: 0}}\n"
        "model: {name: deeplabv3_mobilenetv2_035, options: {output_stride: 16}}\ntrain: {iterations: 1}\n"
    )
    code, out, _ = segdistill_("check", recipe, f"data.cache={cache}")
    assert code == 1
    assert f"problem: `{cache}/folder-train` holds no prepared data. Run `segdistill prepare` with this recipe" in out
    code, out, _ = segdistill_("prepare", recipe, f"data.unlabelled={root / 'val/images'}", "--out", cache)
    assert code == 0
    assert out.startswith("to write: 0.00 GB; free: ")
    assert f"prepared: {cache}. Use it by data.cache={cache}" in out
    assert sorted(path.name for path in cache.iterdir()) == [".lock", "folder-train", "folder-val", "images-train"]
    assert segdistill_("check", recipe, f"data.cache={cache}")[0] == 0


def test_prepare_prints_every_fault_and_leaves_with_1(segdistill_, tmp_path):
    root = make_folder(tmp_path / "data")
    truncate(root / "train/images/scene0.jpg")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        f"data: {{dataset: folder, root: {root}, crop_size: [32, 32], num_workers: 0}}\n"
        "model: {name: deeplabv3_mobilenetv2_035}\ntrain: {iterations: 1}\n"
    )
    code, out, _ = segdistill_("prepare", recipe, "--out", tmp_path / "cache")
    assert code == 1
    problems = [line for line in out.splitlines() if line.startswith("problem:")]
    assert len(problems) == 1
    assert f"{root}/train/images/scene0.jpg cannot be decoded as image" in problems[0]
