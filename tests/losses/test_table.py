"""A loss is four files and a line in `LOSSES`: what is missing is named here."""

import inspect
from pathlib import Path

import pytest
import torch
from tests.losses.contract import check_statement

import segdistill
from segdistill import losses
from segdistill.losses import LOSSES, METHODS, table
from segdistill.losses.base import DistillationLoss
from segdistill.losses.methods import methods_of

ROOT = Path(__file__).parents[2]
EQUAL = ("head", "layer1", "layer2", "layer3", "layer4")


def home(name):
    """The module of a loss, which its files are called after: `skd` holds `skd_adversarial` too."""
    return LOSSES[name].__module__.rpartition(".")[2]


def small(name, **options):
    """A loss for maps of 16 channels (8 of the student's where it projects them) and 16 classes."""
    parameters = inspect.signature(LOSSES[name]).parameters
    sizes = {"student_channels": 8, "teacher_channels": 16, "num_classes": 16}
    return LOSSES[name](**{key: size for key, size in sizes.items() if key in parameters}, **options)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    "file",
    ["src/segdistill/losses/{}.py", "tests/losses/test_{}.py", "tests/reference/{}.py", "docs/losses/{}.md"],
)
def test_a_loss_has_its_four_files(name, file):
    path = ROOT / file.format(home(name))
    assert path.is_file() or (path.with_suffix("") / "__init__.py").is_file(), f"{path} is missing"


@pytest.mark.parametrize("name", LOSSES)
def test_its_page_says_its_name_and_its_class(name):
    page = (ROOT / f"docs/losses/{home(name)}.md").read_text(encoding="utf-8")
    assert f"`{name}`" in page.splitlines()[0], "the first line names the loss as terms do"
    assert f"{LOSSES[name].__name__}`" in page


@pytest.mark.parametrize("name", LOSSES)
def test_its_test_claims_what_every_loss_promises(name):
    text = (ROOT / f"tests/losses/test_{home(name)}.py").read_text(encoding="utf-8")
    assert "tests.losses.contract import" in text, "see tests/losses/contract.py"
    assert f"tests.reference.{home(name)} import" in text, "it is compared with the slow version"


@pytest.mark.parametrize("name", LOSSES)
def test_its_class_is_public(name):
    kind = LOSSES[name]
    assert kind.__name__.endswith("Loss")
    assert getattr(segdistill, kind.__name__) is getattr(losses, kind.__name__) is kind
    assert name.startswith(home(name))


def test_a_class_of_the_table_is_public_without_another_line(monkeypatch):
    class NewLoss(DistillationLoss):
        """A loss that nobody exports."""

    monkeypatch.setitem(table.LOSSES, "new", NewLoss)
    assert segdistill.NewLoss is losses.NewLoss is NewLoss
    with pytest.raises(AttributeError, match="has no attribute 'OtherLoss'"):
        _ = segdistill.OtherLoss


def test_the_table_is_in_order():
    assert list(LOSSES) == sorted(LOSSES)
    titles = [loss.title for loss in LOSSES.values()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_states_the_contract(name):
    kind = LOSSES[name]
    assert issubclass(kind, DistillationLoss)
    assert "title" in vars(kind), f"{kind.__name__} says no title"
    assert kind.title
    assert "layer" in vars(kind), f"{kind.__name__} does not say what it reads"
    assert kind.layer in ("logits", *EQUAL)
    assert set(kind.beside) <= set(LOSSES) - {name}
    for options in [{}, *kind.variants.values()]:
        loss = small(name, **{key: value for key, value in options.items() if key not in ("layer", "weight")})
        assert set(loss.equal_buffers) <= {key for key, _ in loss.named_buffers()}
        width = 8 if "student_channels" in inspect.signature(kind).parameters else 16
        labels = torch.zeros(2, 16, 16).long()
        check_statement(loss, torch.rand(2, width, 16, 16), torch.rand(2, 16, 16, 16), labels)
    assert kind.__doc__


def test_the_recipes_page_leads_to_the_pages_of_the_losses():
    assert "](losses/)" in (ROOT / "docs/recipes.md").read_text(encoding="utf-8")


def test_methods_follow_from_the_losses():
    known = {
        "none": {},
        "kd": {"kd": {}},
        "fitnet": {"kd": {}, "fitnet": {"layer": "head"}},
        "at": {"kd": {}, "at": {"layer": "head"}},
        "skd": {"kd": {}, "skd": {"layer": "head"}},
        "skd_adversarial": {"kd": {}, "skd": {"layer": "head"}, "skd_adversarial": {}},
        "ifvd": {"kd": {}, "ifvd": {"layer": "head"}},
        "cwd": {"kd": {}, "cwd": {}},
        "cwd_features": {"kd": {}, "cwd": {"layer": "head", "weight": 50.0}},
        "dsd": {"dsd": {}},
        "mgd": {"kd": {}, "mgd": {"layer": "layer4"}},
        "cirkd": {"kd": {}, "cirkd": {"layer": "head"}},
        "cirkd_memory": {"kd": {}, "cirkd": {"layer": "head", "memory": True}},
        "maskd": {"maskd": {}},
        "dist": {"dist": {}},
        "acam": {"kd": {}, "acam": {"layer": "head"}},
        "af_dcd": {"kd": {}, "af_dcd": {"layer": "layer4"}},
    }
    assert {name: METHODS[name] for name in known} == known
    assert set(METHODS) == {"none", *(method for name in LOSSES for method in methods_of(name))}
