import re
from collections import OrderedDict

import pytest
import torch
import yaml
from pydantic import BaseModel
from safetensors.torch import load_file
from tests.data.fakes import make_camvid, write_image
from tests.pages import ROOT, SAMPLE, rows, samples
from torch import nn

import segdistill
from segdistill.recipe.load import load_recipe, recipe_names
from segdistill.recipe.schema import Recipe, TermConfig

README = (ROOT / "README.md").read_text(encoding="utf-8")
RECIPES = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FOREIGN = ("transformers", "segmentation_models_pytorch")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("marker", "command"),
    [("install and demo", "pip install . && segdistill demo"), ("test", 'pip install -e ".[dev]" && pytest')],
)
def test_ci_finds_its_two_commands(marker, command):
    assert re.findall(rf"^<!-- ci: {marker} -->\n```bash\n(.*?)\n```$", README, re.MULTILINE) == [command]


def test_first_screen_has_picture_commands_and_python():
    screen = "\n".join(README.splitlines()[:45])
    assert "](docs/images/camvid_cpu.png)" in screen
    assert screen.count("```bash") == 2
    assert screen.count("```python") == 1


def test_the_python_of_the_readme_trains_a_student(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    scope = {"loader": [(torch.rand(1, 3, 128, 128), torch.randint(0, 21, (1, 128, 128)))]}
    exec(samples(README, "python")[0], scope)
    saved = load_file("small.safetensors")
    fresh = scope["lraspp_mobilenet_v3_large"](weights=None, weights_backbone=None, num_classes=21)
    fresh.load_state_dict(saved)  # a plain torchvision network
    assert list(scope["distiller"].weights) == ["task", "aux", "kd", "af_dcd.mimic", "af_dcd.contrast"]


def test_the_recipes_of_the_readme_are_valid(tmp_path):
    for text in samples(README, "yaml"):
        name = re.match(r"# (\S+\.yaml)\n", text).group(1)
        (tmp_path / name).write_text(text, encoding="utf-8")
    teacher = load_recipe(tmp_path / "teacher.yaml")
    distilled = load_recipe(tmp_path / "distilled.yaml", ["teacher.weights=RUN"])
    assert (teacher.name, teacher.kind, teacher.model.name) == ("teacher", "teacher", "deeplabv3_resnet101")
    assert (distilled.kind, list(distilled.terms)) == ("distilled", ["kd", "af_dcd"])
    assert distilled.data == teacher.data


def test_the_python_of_the_distiller_page_runs():
    class Nested(nn.Conv2d):
        def forward(self, image):
            return {"semantic": {"scores": super().forward(image)}}

    big = nn.Sequential(
        OrderedDict(backbone=nn.Sequential(OrderedDict(layer4=nn.Conv2d(3, 32, 1))), head=nn.Conv2d(32, 5, 1))
    )
    layers = [*(nn.Identity() for _ in range(16)), nn.Conv2d(3, 8, 1)]
    scope = {
        "big": big,
        "small": nn.Sequential(OrderedDict(backbone=nn.Sequential(*layers), head=nn.Conv2d(8, 5, 1))),
        "model": Nested(3, 5, 1),
        "images": torch.rand(2, 3, 16, 16),
        "labels": torch.randint(0, 5, (2, 16, 16)),
        "torch": torch,
        "sd": segdistill,
        "IMAGENET_MEAN": (0.485, 0.456, 0.406),
        "IMAGENET_STD": (0.229, 0.224, 0.225),
    }
    blocks = samples((ROOT / "docs/distiller.md").read_text(encoding="utf-8"), "python")
    ours = [block for block in blocks if not any(name in block for name in FOREIGN)]
    assert len(ours) >= 4
    for block in ours:
        exec(block, scope)
    distiller = segdistill.Distiller(scope["small"], [segdistill.Term(scope["Cosine"](), name="cosine")])
    teacher = segdistill.Teacher(big)
    assert "cosine" in distiller(scope["images"], scope["labels"], teacher(scope["images"])).parts


def test_the_python_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "photo.jpg")
    make_camvid(tmp_path / "FOLDER")
    scope = {}
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    for block in samples(page, "python"):
        exec(block, scope)
    assert {"cached", "checkup", "compared", "mask", "student", "taught"} <= set(scope)
    verbs = {cells[0].strip("`").split("(")[0] for cells in rows(page) if cells[0].startswith("`sd.")}
    assert verbs == {f"sd.{name}" for name in ("train", "compare", "evaluate", "predict", "check", "profile", "report",
                                               "prepare", "init", "import_data", "export")}  # fmt: skip


def test_the_python_of_the_page_on_prediction_runs(tmp_path, save_network, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a.jpg", "photos/deep/b.png", "more/c.png"):
        write_image(tmp_path / name)
    (tmp_path / "runs/student").mkdir(parents=True)
    (tmp_path / "runs/student/student.safetensors").write_bytes(save_network().read_bytes())
    (code,) = samples((ROOT / "docs/predict.md").read_text(encoding="utf-8"), "python")
    scope = {}
    exec(code, scope)
    assert scope["done"].failed == []
    assert len(scope["done"].masks) == 3
    assert scope["likely"].shape[1:] == scope["mask"].shape


def test_the_page_on_teachers_runs_and_its_recipes_are_valid():
    def network(classes, width=8):
        return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, classes, 1))

    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.Conv2d(3, 16, 4, stride=4)

        def forward(self, image):
            return self.blocks(image).mean((2, 3))

    page = (ROOT / "docs/teachers.md").read_text(encoding="utf-8")
    scope = {"backbone": Backbone(), "images": torch.rand(2, 3, 16, 16), "labels": torch.randint(0, 2, (2, 16, 16))}
    mapped, *others = samples(page, "python")
    exec(mapped, scope | {"big": network(3), "small": network(2)})
    for block in others:
        exec(block, scope | {"sd": segdistill, "big": network(2), "other": network(2), "small": network(2)})
    for block in samples(page, "yaml"):
        settings = {"terms": {"kd": {}}} | yaml.safe_load(block)
        recipe = Recipe(**settings, name="r", data={"dataset": "streets", "crop_size": [64, 64]},
                        model={"name": "pspnet_resnet18"}, train={"iterations": 1})  # fmt: skip
        assert recipe.taught_by


def test_every_option_of_predict_is_documented():
    from inspect import signature

    from typer.main import get_command

    from segdistill.cli.app import app

    page = (ROOT / "docs/predict.md").read_text(encoding="utf-8")
    table = [cells[:2] for cells in rows(page) if cells[0].startswith("`--")]
    documented = {name for cell, _ in table for name in re.findall(r"--[a-z-]+", cell)}
    options = [name for option in get_command(app).commands["predict"].params for name in
               (*option.opts, *option.secondary_opts) if name.startswith("--")]  # fmt: skip
    assert documented == set(options)
    arguments = {re.match(r"`(\w+)", cell).group(1) for _, cell in table}
    assert arguments == set(signature(segdistill.predict).parameters) - {"run", "source", "advance"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_resolve(page):
    text = SAMPLE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s#]+)", text):
        if not target.startswith(("https://", "http://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_commands_in_the_docs_exist():
    from segdistill.cli.app import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    table = {cells[0].strip("`").split()[1] for cells in rows(README) if cells[0].startswith("`segdistill ")}
    assert table == known
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        used = re.findall(r"(?:^ *|`|&& |-m )segdistill ([a-z]+)", text, re.MULTILINE)
        assert set(used) <= known, page.name


def schema(model=Recipe, prefix=""):
    """Every key of a recipe and its field."""
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        nested = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if nested is TermConfig:
            yield from schema(TermConfig, f"{prefix}{name}.<name>.")
        elif nested is not None and name != "teachers":  # whose keys are those of `teacher`
            yield from schema(nested, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def documented_keys():
    """Every key of the tables of the recipes page, with the text of its default."""
    body = RECIPES[RECIPES.index("## Keys") : RECIPES.index("## What a run leaves")]
    return {key: cells[1] for cells in rows(body) for key in re.findall(r"`([^`]+)`", cells[0])}


def test_every_key_of_a_recipe_is_documented():
    assert set(documented_keys()) == {key for key, _ in schema()} | {"base"}


@pytest.mark.parametrize(("key", "field"), [*schema()], ids=lambda value: value if isinstance(value, str) else "")
def test_documented_defaults_are_those_of_the_schema(key, field):
    text = documented_keys()[key].strip("`")
    words = ("the file's", "empty", "the name", "by loss")
    if field.is_required():
        assert text == ("the file's" if key == "name" else "required")
    elif text in words:
        assert not field.default
    else:
        value = yaml.safe_load(text)
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        assert (float(value) if isinstance(default, float) else value) == default


def test_published_rows_are_those_of_the_recipes():
    body = RECIPES[RECIPES.index("## The published rows") : RECIPES.index("What differs from the authors'")]
    found = [(re.match(r"`(\w+)`", cells[0]), cells[1:]) for cells in rows(body)]
    table = {match.group(1): cells for match, cells in found if match}
    published = {name.removesuffix("_af_dcd") for name in recipe_names() if name.endswith("_af_dcd")}
    assert set(table) == published
    for name, (teacher, alone, distilled, weights) in table.items():
        recipe = load_recipe(f"{name}_af_dcd", ["teacher.weights=RUN"])
        assert f"mIoU {distilled}" in recipe.description
        assert f"mIoU {alone}" in load_recipe(name).description
        assert f"mIoU {teacher}" in load_recipe(f"{recipe.data.dataset}_teacher").description
        af_dcd = recipe.terms["af_dcd"].weight
        assert [float(w) for w in weights.split(",")] == [recipe.terms["kd"].weight, *af_dcd.values()]


def test_every_recipe_that_comes_with_the_package_is_documented():
    for name in recipe_names():
        known = name.removesuffix("_af_dcd")
        assert f"`{known}`" in RECIPES or known.endswith("_teacher")


def test_architecture_names_every_room():
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    for init in (ROOT / "src/segdistill").glob("*/__init__.py"):
        assert f"`{init.parent.name}" in page, init.parent.name


def test_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version"} <= set(citation)
    assert citation["version"] == segdistill.__version__
    assert "https://arxiv.org/abs/2312.04168" in [reference["url"] for reference in citation["references"]]
    assert f"## [{segdistill.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
