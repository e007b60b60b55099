"""One sentence for whatever a user can get wrong."""

import pytest
from tests.cli.settings import TINY
from tests.data.fakes import write_image

from segdistill import store


@pytest.fixture
def folder(tmp_path, save_network):
    """A folder with everything that the wrong inputs below name."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "used").mkdir()
    (tmp_path / "used/notes.txt").write_text("mine")
    (tmp_path / "student.safetensors").write_bytes(save_network().read_bytes())
    (tmp_path / "cut.safetensors").write_bytes(save_network().read_bytes()[:5000])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "student.yaml").write_text("base: demo_student\n")
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
    ("init @/none", "`folder` must be a folder of images and masks; "),
    ("init @/empty --out @/x", "holds no pictures. Known layouts: train/images and train/masks"),
    ("init @/empty --out @", "student.yaml would be overwritten. Choose another --out, or allow it with --force."),
    ("train demoo", "there is no recipe 'demoo'. Nearest names: demo"),
    ("train", "give a recipe, or --resume RUN"),
    ("train demo_student --resume @/empty", "is not a run folder: it holds no recipe.yaml"),
    ("train --resume @/empty", "is not a run folder: it holds no recipe.yaml"),
    ("train --resume @/none", "none does not exist. "),
    ("train --resume @/mepty", "mepty does not exist. Nearest names: empty."),
    ("train optim.lr=1", "give a recipe before the overrides, or --resume RUN"),
    ("train --resume @/empty --out @/x", "leave --out away"),
    ("train studnt.yaml", "cannot be read (No such file or directory). Nearest names: student.yaml"),
    ("train studnt", "there is no recipe 'studnt'. Nearest names: student.yaml"),
    ("train --resume @/unfinished", "`data` must be given."),
    ("train demo_student --out @/used", "used exists and is not empty, and holds no run. Choose another --out."),
    ("train demo_student --out @/unfinished", "holds a run. Continue it with --resume"),
    ("train demo_student --out @/damaged", "holds a run that is complete: "),
    ("train demo_student --out @/image.png", "image.png is a file."),
    ("train demo_student optim.lrr=0.1", "`optim.lrr` is not a key of a recipe. Nearest names: lr"),
    ("train demo_student optim.lr=fast", "`optim.lr`"),
    ("train demo_student optim.lr=-1", "`optim.lr`"),
    ("train demo_student optim.lr", "an override must be key=value; got 'optim.lr'"),
    ("train demo_student train.device=tpu", "`train.device`"),
    ("train demo_student data.options.num_image=3", "`data.options.num_image` is not an option of Streets"),
    ("train demo_student data.options.num_images=few", "`data.options`"),
    ("train demo_student data.dataset=street", "`data.dataset` must be a known data set"),
    ("train demo_student model.name=deeplabv3_resnet81", "`model.name` must end with a backbone that timm has"),
    ("train demo_student model.pretrained=@/none", "none"),
    ("train demo", "`teacher` must be given where there are terms"),
    ("train demo teacher.weights=@/none", "`teacher.weights`: "),
    ("train demo teacher.weights=@/none", "none does not exist"),
    ("train demo teacher.weights=@/cut.safetensors", "must be a whole safetensors file"),
    ("train camvid_cpu_student data.root=@/none", "none"),
    ("train voc_teacher data.root=null", "Add data.root=FOLDER"),
    ("train @/none.yaml", "cannot be read (No such file or directory)"),
    ("train @/broken.yaml", "is not valid YAML"),
    ("train @/binary.yaml", "is not valid YAML"),
    ("train @/list.yaml", "must be a mapping of keys"),
    ("compare demo", "give --methods, names by commas. Known: none, "),
    ("compare demo --methods cwdd --teacher @/empty --out @/c", "got 'cwdd'. Nearest names: cwd"),
    ("compare demo --methods kd", "`teacher` must be given where there are terms"),
    ("compare demo --methods kd --seeds 0 --teacher @/empty", "--seeds must be a number above 0"),
    ("compare demo --methods kd --teacher @/empty --out @/c", "it holds no such file. Is the run complete?"),
    ("compare demo --methods kd --teacher demo_teacher --budget steps", "`budget` must be iterations or time"),
    ("compare demo --methods kd --teacher demo_teacher --vary optim.lrr=1,2", "`optim.lrr` is not a key of a recipe"),
    ("check demoo", "there is no recipe 'demoo'"),
    ("profile demo_student --steps 0", "`steps` must be a whole number, at least 1; got 0"),
    ("evaluate @/empty", "is not a run folder, so --recipe must name the data"),
    ("evaluate @/student.safetensors", "is not a run folder, so --recipe must name the data"),
    ("evaluate @/none", "none does not exist. "),
    ("evaluate @/mepty", "mepty does not exist. Nearest names: empty."),
    ("evaluate @/empty --recipe demo_student", "Is the run complete?"),
    ("evaluate @/student.safetensors --recipe demo_student --split trian", "`split` must be one of train, val, test"),
    ("evaluate @/cut.safetensors --recipe demo_student", "must be a whole safetensors file"),
    ("predict @/empty @/image.png", "must be a run folder or a student.safetensors"),
    ("predict @/none @/image.png", "none does not exist"),
    ("predict @/cut.safetensors @/image.png", "must be a whole safetensors file"),
    ("predict @/image.png @/image.png", "must be a whole safetensors file"),
    ("predict @/student.safetensors @/none.png --out @/p", "names no image"),
    ("predict @/student.safetensors @/empty --out @/p", "names no image"),
    ("predict @/student.safetensors @/image.png --out @/p --device tpu", "must be auto, cpu or cuda; got 'tpu'"),
    ("predict @/student.safetensors @/image.png --out @/student.yaml", "student.yaml cannot be used: File exists."),
    ("predict @/student.safetensors @/image.png --out @/image.png", "--out must not be the image itself"),
    ("predict @/student.safetensors @/image.png @/text.png --out @/x.png", "--out must be a folder for 2 images"),
    ("predict @/student.safetensors", "nothing names no image"),
    ("predict @/student.safetensors --list @/none.txt", "none.txt must be a text file with a path a line"),
    ("predict @/student.safetensors @/image.png --window 512", "--window must be height x width in pixels"),
    ("predict @/student.safetensors @/image.png --scales 1,x", "--scales must be numbers by commas"),
    ("predict @/student.safetensors @/image.png --scales 0", "`scales` must be numbers above 0"),
    ("predict @/student.safetensors @/image.png --batch-size 0", "`batch_size` must be a whole number"),
    ("predict @/student.safetensors @/image.png --probabilities tif", "`probabilities` must be npz or png"),
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


def test_a_run_that_could_not_begin_leaves_no_trace_and_does_not_block_its_folder(segdistill_, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "demo_student", *TINY]
    for more in ([], ["--out", "deep/run"]):
        code, _, err = segdistill_(*arguments, "model.name=deeplabv3_resnet81", *more)
        assert code == 2
        assert "resnet81" in err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / store.EVENTS).write_text("an earlier version left this")
    assert segdistill_(*arguments, "model.name=deeplabv3_resnet81", "--out", "run")[0] == 2
    assert [path.name for path in (tmp_path / "run").iterdir()] == [store.EVENTS]
    assert segdistill_(*arguments, "--out", "run")[0] == 0
    code, _, err = segdistill_(*arguments, "--out", "run")
    assert code == 2
    assert "run holds a run that is complete: run/result.json. Choose another --out." in err
