import json
import logging
import signal
import subprocess
import sys

import numpy as np
import pytest
import typer
from PIL import Image
from tests.data.fakes import make_camvid, make_folder, truncate, write_image

import segdistill
from segdistill import store
from segdistill.cli import app as cli
from segdistill.engine.signals import Stopped
from segdistill.recipe.load import recipe_names

VERBS = {
    "demo": {"overrides", "--out"},
    "train": {"recipe", "overrides", "--out", "--resume"},
    "compare": {
        "recipe",
        "overrides",
        "--methods",
        "--seeds",
        "--vary",
        "--teacher",
        "--teacher-set",
        "--budget",
        "--seconds",
        "--against",
        "--jobs",
        "--retry",
        "--runs-only",
        "--out",
    },
    "evaluate": {"run", "overrides", "--recipe", "--split", "--official", "--json"},
    "predict": {"run", "source", "--out", "--device"},
    "report": {"runs", "--out", "--markdown"},
    "check": {"recipe", "overrides"},
    "prepare": {"recipe", "overrides", "--out"},
    "profile": {"recipe", "overrides", "--steps", "--json"},
    "list": set(),
}
TINY = ["data.options={num_images: 3, num_train: 3, size: [32, 48]}", "data.crop_size=[32,48]", "data.batch_size=2",
        "model.name=deeplabv3_mobilenetv2_035", "model.options.backbone=null", "model.options.output_stride=16",
        "train.iterations=2", "train.log_every=1",
        "train.gallery=1", "train.device=cpu"]  # fmt: skip


@pytest.fixture
def segdistill_(monkeypatch, capsys):
    """Call the command line as a shell does: exit code, stdout, stderr."""
    root, package = logging.getLogger(), logging.getLogger("segdistill")
    before = root.handlers[:], root.level, package.level

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["segdistill", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capsys.readouterr()
        return left.value.code or 0, printed.out, printed.err

    yield call
    root.handlers[:], root.level, package.level = before


@pytest.fixture
def ok(segdistill_):
    """Call the command line, which must succeed, and return what it prints."""

    def call(*arguments):
        code, out, err = segdistill_(*arguments)
        assert code == 0, err
        return out

    return call


def test_verbs_and_options_are_those_that_people_have_in_their_scripts():
    commands = typer.main.get_command(cli.app).commands
    found = {
        name: {p.opts[0] if p.param_type_name == "option" else p.name for p in command.params if p.name != "help"}
        for name, command in commands.items()
    }
    assert found == VERBS


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS), []])
def test_help_is_quick_since_it_loads_no_torch(arguments):
    code = (
        "import sys\nfrom segdistill.cli.app import main\ntry:\n    main()\nexcept SystemExit as left:\n"
        "    heavy = [m for m in ('torch', 'numpy', 'timm', 'plotly') if m in sys.modules]\n"
        "    print('LOADED', heavy, file=sys.stderr)\n    raise"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1] == "LOADED []"
    assert done.returncode == (0 if arguments else 2)
    assert "--help" in done.stdout + done.stderr or done.stdout.strip() == segdistill.__version__


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "segdistill", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{segdistill.__version__}\n")


def test_list_prints_every_recipe_model_data_set_and_loss(ok):
    printed = ok("list")
    rows = {line.split()[0] for line in printed.splitlines() if line.strip()}
    assert set(recipe_names()) <= rows
    for name in ("deeplabv3_resnet18", "pspnet_mobilenetv2_050", "camvid", "streets", "folder", "kd", "af_dcd"):
        assert name in printed
    assert "published mIoU 77.03" in printed


# One sentence for whatever a user can get wrong


@pytest.fixture
def folder(tmp_path, save_network):
    """A folder with everything that the wrong inputs below name."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "used").mkdir()
    (tmp_path / "used/notes.txt").write_text("mine")
    (tmp_path / "student.safetensors").write_bytes(save_network().read_bytes())
    (tmp_path / "cut.safetensors").write_bytes(save_network().read_bytes()[:5000])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "broken.yaml").write_text("a: [1, ")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / store.RECIPE).write_text("name: x\n")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / store.RESULT).write_text("{")
    write_image(tmp_path / "image.png")
    return tmp_path


WRONG = [
    ("train demoo", "there is no recipe 'demoo'. Nearest names: demo"),
    ("train", "give a recipe, or --resume RUN"),
    ("train demo_student --resume @/empty", "is not a run folder: it holds no recipe.yaml"),
    ("train --resume @/empty", "is not a run folder: it holds no recipe.yaml"),
    ("train --resume @/none", "is not a run folder: it holds no recipe.yaml"),
    ("train --resume @/unfinished", "`data` must be given."),
    ("train demo_student --out @/used", "exists and is not empty. Continue it with --resume"),
    ("train demo_student optim.lrr=0.1", "`optim.lrr` is not a key of a recipe. Nearest names: lr"),
    ("train demo_student optim.lr=fast", "`optim.lr`"),
    ("train demo_student optim.lr=-1", "`optim.lr`"),
    ("train demo_student optim.lr", "an override must be key=value; got 'optim.lr'"),
    ("train demo_student train.device=tpu", "`train.device`"),
    ("train demo_student data.options.num_image=3", "`data.options.num_image` is not an option of Streets"),
    ("train demo_student data.options.num_images=few", "`data.options`"),
    ("train demo_student data.dataset=street", "`data.dataset` must be a known data set"),
    ("train demo_student model.name=deeplabv3_resnet81", "deeplabv3_resnet18"),
    ("train demo_student model.pretrained=@/none", "none"),
    ("train demo", "`teacher` must be given where there are terms"),
    ("train demo teacher.weights=@/none", "none does not exist"),
    ("train demo teacher.weights=@/cut.safetensors", "must be a whole safetensors file"),
    ("train camvid_cpu_student data.root=@/none", "none"),
    ("train voc_teacher data.root=null", "Add data.root=FOLDER"),
    ("train @/none.yaml", "cannot be read (No such file or directory)"),
    ("train @/broken.yaml", "is not valid YAML"),
    ("train @/binary.yaml", "is not valid YAML"),
    ("train @/list.yaml", "must be a mapping of keys"),
    ("compare demo", "give --methods, names by commas. Known: none, kd"),
    ("compare demo --methods cwdd --teacher @/empty --out @/c", "got 'cwdd'. Nearest names: cwd"),
    ("compare demo --methods kd", "`teacher` must be given where there are terms"),
    ("compare demo --methods kd --seeds 0 --teacher @/empty", "--seeds must be a number above 0"),
    ("compare demo --methods kd --teacher @/empty --out @/c", "it holds no such file. Is the run complete?"),
    ("compare demo --methods kd --teacher demo_teacher --budget steps", "`budget` must be iterations or time"),
    ("compare demo --methods kd --teacher demo_teacher --vary optim.lrr=1,2", "`optim.lrr` is not a key of a recipe"),
    ("check demoo", "there is no recipe 'demoo'"),
    ("profile demo_student --steps 0", "`steps` must be at least 1; got 0"),
    ("evaluate @/empty", "is not a run folder, so --recipe must name the data"),
    ("evaluate @/student.safetensors", "is not a run folder, so --recipe must name the data"),
    ("evaluate @/empty --recipe demo_student", "Is the run complete?"),
    ("evaluate @/student.safetensors --recipe demo_student --split trian", "`split` must be one of train, val, test"),
    ("evaluate @/cut.safetensors --recipe demo_student", "must be a whole safetensors file"),
    ("predict @/empty @/image.png", "must be a run folder or a student.safetensors"),
    ("predict @/none @/image.png", "none does not exist"),
    ("predict @/cut.safetensors @/image.png", "must be a whole safetensors file"),
    ("predict @/image.png @/image.png", "must be a whole safetensors file"),
    ("predict @/student.safetensors @/none.png --out @/p", "names no image"),
    ("predict @/student.safetensors @/empty --out @/p", "names no image"),
    ("predict @/student.safetensors @/text.png --out @/p", "text.png is not a readable image"),
    ("predict @/student.safetensors @/image.png --out @/p --device tpu", "must be auto, cpu or cuda; got 'tpu'"),
    ("report @/empty", "is not a run folder"),
    ("report @/image.png", "is not a folder"),
    ("report @/none", "is not a folder"),
    ("report @/unfinished", "is a run that is not complete"),
    ("report @/damaged", "is not valid JSON"),
    ("demo --out @/demo train.iteration=2", "`train.iteration` is not a key of a recipe. Nearest names: iterations"),
]


@pytest.mark.parametrize(("line", "message"), WRONG, ids=[line for line, _ in WRONG])
def test_wrong_input_is_one_sentence_and_exit_code_2(segdistill_, folder, monkeypatch, line, message):
    monkeypatch.chdir(folder)
    code, out, err = segdistill_(*line.replace("@", str(folder)).split())
    assert code == 2
    sentences = [
        line for line in err.splitlines() if line.strip() and " 0/" not in line
    ]  # the bar of a run that did not begin
    assert len(sentences) == 1
    assert sentences[0].startswith("error: ")
    assert message in sentences[0]
    assert len(sentences[0]) < 1000
    assert "Traceback" not in err + out


def test_nothing_is_written_by_a_command_that_cannot_run(segdistill_, folder, monkeypatch):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    for line in (
        "train demo_student optim.lrr=1",
        "train demo_student --out used",
        "report empty",
        "predict empty image.png",
    ):
        assert segdistill_(*line.split())[0] == 2
    assert sorted(folder.rglob("*")) == before


def test_a_run_that_could_not_begin_does_not_block_its_folder(segdistill_, tmp_path):
    arguments = ["train", "demo_student", *TINY, "--out", tmp_path / "run"]
    code, _, err = segdistill_(*arguments, "model.name=deeplabv3_resnet81")
    assert code == 2
    assert "resnet81" in (tmp_path / "run" / store.EVENTS).read_text()
    assert segdistill_(*arguments)[0] == 0
    code, _, err = segdistill_(*arguments)
    assert code == 2
    assert f"Continue it with --resume {tmp_path / 'run'}" in err


@pytest.mark.parametrize(
    ("verb", "place", "remedy"),
    [
        ("demo", "segdistill.comparison.run_demo", "The same command continues."),
        ("train", "segdistill.experiment.run_recipe", "Continue with: segdistill train --resume run"),
    ],
)
def test_a_stop_says_how_to_go_on(segdistill_, tmp_path, monkeypatch, verb, place, remedy):
    def stop(*_, **__):
        raise Stopped(3, signal.SIGINT)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(place, stop)
    code, _, err = segdistill_(verb, *(["demo_student"] if verb == "train" else []), "--out", "run")
    assert code == 130
    assert err.splitlines()[-1] == f"stopped by SIGINT after step 3; everything is saved. {remedy}"


def test_our_own_faults_keep_their_traceback(monkeypatch):
    def broken(*_, **__):
        raise KeyError("ours")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(KeyError, match="ours"):
        cli.main()


def test_brackets_in_a_message_are_text_and_not_markup(segdistill_):
    code, _, err = segdistill_("report", "[bold]x[/bold]")
    assert code == 2
    assert "[bold]x[/bold] is not a folder" in err


# The verbs


def test_train_evaluate_predict_and_report_end_to_end(ok, tmp_path):
    run, images = tmp_path / "run", tmp_path / "images"
    printed = ok("train", "demo_student", *TINY, "--out", run)
    assert f"run: {run}" in printed
    result = json.loads((run / store.RESULT).read_text())
    assert f"mIoU {100 * result['score']['miou']:.2f} %" in printed
    assert f"protocol: {result['protocol']}" in printed
    assert "streets val (3 images)" in result["protocol"]

    scores = tmp_path / "scores.json"
    printed = ok("evaluate", run, "--json", scores)
    assert json.loads(scores.read_text())["score"] == result["score"]
    for name, iou in result["score"]["per_class_iou"].items():
        assert any(
            name in line and ("-" if iou is None else f"{100 * iou:.2f}") in line for line in printed.splitlines()
        )
    printed = ok("evaluate", run / store.STUDENT, *TINY, "--recipe", "demo_student", "--split", "test")
    assert "streets test (3 images)" in printed
    assert "flip, 9 classes" in ok("evaluate", run, "evaluate.flip=true")

    for seed, name in enumerate(("a.png", "deep/b.jpg")):
        write_image(images / name, seed=seed)
    printed = ok("predict", run, images, "--out", tmp_path / "masks")
    assert "2 images, masks and overlays in" in printed
    mask = Image.open(tmp_path / "masks/a_png_mask.png")
    assert np.array_equal(np.array(mask), segdistill.load(run)(images / "a.png").numpy())
    assert (tmp_path / "masks/deep/b_jpg_overlay.png").is_file()
    assert str(tmp_path / "masks/a_png_mask.png") in printed.splitlines()

    report, table = tmp_path / "report.html", tmp_path / "table.md"
    printed = ok("report", run, "--out", report, "--markdown", table)
    assert f"report: {report}" in printed
    assert "<html" in report.read_text(encoding="utf-8")
    assert f"{100 * result['score']['miou']:.2f}" in table.read_text()

    assert f"run: {run}" in ok("train", "--resume", run)
    assert json.loads((run / store.RESULT).read_text()) == result


def test_progress_goes_to_stderr_so_that_output_can_be_piped(segdistill_, tmp_path):
    code, out, err = segdistill_("train", "demo_student", *TINY, "--out", tmp_path / "run")
    assert code == 0
    assert "demo_student: step 2/2" in err
    assert "val mIoU" in err
    assert "step 2/2" not in out


def test_check_prints_the_histogram_and_finds_nothing_wrong(ok, tmp_path):
    root = make_camvid(tmp_path)
    printed = ok("check", "camvid_cpu_student", f"data.root={root}", "data.crop_size=[64,96]")
    assert "train: 4 images, 0 faulty; sizes 24x40 (4)" in printed
    assert "logits: student (1, 11, 4, 6)" in printed
    assert "camvid_cpu_student: nothing wrong found" in printed


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
    assert " batch norms folded, 2 images a step, medians over 1 steps" in printed


def test_check_prints_every_fault_and_leaves_with_1(segdistill_, tmp_path):
    root = make_folder(tmp_path)
    truncate(root / "train/images/scene0.jpg")
    (root / "val/masks/scene1.png").unlink()
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        f"data: {{dataset: folder, root: {root}, crop_size: [32, 32], num_workers: 0}}\n"
        "model: {name: deeplabv3_mobilenetv2_035, output_stride: 16}\ntrain: {iterations: 1}\n"
    )
    code, out, _ = segdistill_("check", recipe)
    assert code == 1
    problems = [line for line in out.splitlines() if line.startswith("problem:")]
    assert len(problems) == 2
    assert f"{root}/train/images/scene0.jpg cannot be decoded as image" in problems[0]
    assert f"{root}/val/masks/scene1.png does not exist. Restore this mask" in problems[1]


def test_the_demo_prints_its_table_and_writes_its_report(ok, tmp_path):
    printed = ok("demo", *TINY, "--out", tmp_path / "demo")
    assert (tmp_path / "demo/report.html").is_file()
    assert f"report: {tmp_path / 'demo/report.html'}" in printed
    for name in ("teacher", "demo_student", "demo"):
        assert (tmp_path / "demo" / name / store.RESULT).is_file()


def test_prepare_writes_a_cache_that_a_recipe_reads(segdistill_, tmp_path):
    root, cache = make_folder(tmp_path / "data"), tmp_path / "cache"
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        f"data: {{dataset: folder, root: {root}, crop_size: [32, 32], num_workers: 0}}\n"
        "model: {name: deeplabv3_mobilenetv2_035, output_stride: 16}\ntrain: {iterations: 1}\n"
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
