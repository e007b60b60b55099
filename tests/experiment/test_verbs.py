"""The verbs as functions; tests/cli holds that the command line shows what they return."""

import pytest
from tests.data.fakes import make_folder, truncate
from tests.experiment.settings import TINY

import segdistill as sd
from segdistill import store
from segdistill.recipe import load_recipe


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return sd.train("demo_student", overrides=TINY, out=tmp_path_factory.mktemp("train") / "run")


def test_train_returns_the_run(trained):
    assert trained.result == store.read_json(trained.folder / store.RESULT)
    frame = trained.frame()
    assert [row["step"] for row in frame] == [1, 1, 2, 2]
    assert frame[0]["parts.task"] > 0
    assert max(row["val.miou"] for row in frame[1::2]) == trained.result["best"]["val_miou"]


def test_the_same_call_again_goes_on_where_it_was(tmp_path):
    def stop(record):
        raise sd.Stopped(record["step"], 2)

    def again(**more):
        return sd.train("demo_student", overrides=TINY, out=tmp_path / "run", resume=True, **more)

    with pytest.raises(sd.Stopped, match=f"Continue with: segdistill train --resume {tmp_path / 'run'}"):
        again(on_log=stop)
    assert again().result == again().result
    (tmp_path / "notes.txt").touch()
    with pytest.raises(sd.SegdistillError, match="is not empty, and holds no run"):
        sd.train("demo_student", out=tmp_path, resume=True)


def test_evaluate_gives_a_row_a_class(trained):
    scored = sd.evaluate(str(trained.folder), split="test")
    assert "streets test (2 images)" in scored.protocol
    rows = scored.frame()
    assert [row["class"] for row in rows] == list(scored.score["per_class_iou"])
    assert set(rows[0]) == {"class", "iou", "boundary_iou", "boundary_f"}
    assert set(sd.evaluate(trained.folder, overrides=["evaluate.boundary=false"]).frame()[0]) == {"class", "iou"}
    file = trained.folder / store.STUDENT
    assert sd.evaluate(file, recipe=load_recipe("demo_student", TINY)).miou == trained.evaluation.miou


def test_without_a_set_to_score_there_is_no_evaluation(tmp_path):
    trained = sd.train("demo_student", overrides=[*TINY, "data.val_split=null"], out=tmp_path / "run")
    assert trained.evaluation is None


def test_prepare_gives_a_row_a_fault(tmp_path):
    root = make_folder(tmp_path / "data")
    truncate(root / "train/images/scene0.jpg")
    settings = ["data.dataset=folder", "data.options={}", f"data.root={root}", "data.num_workers=0"]
    cached = sd.prepare("demo_student", tmp_path / "cache", overrides=settings)
    assert [row["path"] for row in cached.frame()] == [str(root / "train/images/scene0.jpg")]
    checkup = sd.check("demo_student", overrides=[*settings, "data.crop_size=[32,32]"])
    assert len(checkup.problems) == 1
    shares = [row["share"] for row in checkup.frame() if row["split"] == "val"]
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sd.train(3), "`recipe` must be a name, a YAML file or a Recipe; got 3"),
        (lambda: sd.train("demo_student", overrides="seed=1"), "`overrides` must be a list of texts"),
        (lambda: sd.train("demo_student", out=3), "`out` must be a path; got 3"),
        (lambda: sd.train("demo_student", resume=True), "`resume` needs `out`"),
        (lambda: sd.evaluate(None), "`run` must be a path; got None"),
        (lambda: sd.evaluate("nowhere"), "nowhere does not exist"),
        (lambda: sd.evaluate("."), "is not a run folder, so --recipe must name the data"),
        (lambda: sd.check(None), "`recipe` must be"),
        (lambda: sd.profile("demo_student", steps="many"), "`steps` must be a whole number, at least 1; got 'many'"),
        (lambda: sd.prepare("demo_student", None), "`out` must be a path; got None"),
        (lambda: sd.predict(None, "x.png"), "`run` must be a path; got None"),
        (lambda: sd.predict("x", "x.png", device="tpu"), "`device` must be auto, cpu or cuda; got 'tpu'"),
        (lambda: sd.report(3), "`runs` must be a folder or a list of folders; got 3"),
        (lambda: sd.report([3]), "`runs` must be a path; got 3"),
        (lambda: sd.report([]), "`runs` must name at least one run folder"),
    ],
)
def test_arguments_of_another_kind_are_a_sentence(tmp_path, monkeypatch, call, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(sd.SegdistillError, match=message):
        call()
    assert list(tmp_path.iterdir()) == []
