import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from segdistill.reports import write_report
from segdistill.rundir import RunError

EVIL = "<script>alert(1)</script>\"'--><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """What a browser would make of the file: elements with their attributes, and the text of scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.words, self.inside = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        else:
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def page(three_runs, tmp_path):
    return Page(write_report(three_runs, tmp_path / "out" / "report.html").read_text(encoding="utf-8"))


def test_the_answer_comes_first(page):
    text = "".join(page.words)
    answer = "KD + Af-DCD lifts the student from 50.00 to 58.00 mIoU, closing 40 % of the gap to the teacher's 70.00."
    assert answer in text
    assert text.rindex(answer) < text.index("Scores") < text.index("What the networks see") < text.index("How it was")
    assert [tag for tag, _ in page.tags if tag in ("h1", "h2")] == ["h1", "h2", "h2", "h2", "h2"]


def test_one_file_that_loads_nothing(three_runs, tmp_path):
    path = write_report(three_runs, tmp_path / "report.html")
    assert path.stat().st_size < 10_000_000
    page = Page(path.read_text(encoding="utf-8"))
    assert not [attrs for _, attrs in page.tags if "src" in attrs and not attrs["src"].startswith("data:image/")]
    assert not [tag for tag, attrs in page.tags if tag in ("link", "iframe", "object") or "href" in attrs]
    assert all(attrs["alt"] for attrs in page.all("img"))
    assert len(page.all("img")) == 10


def test_the_policy_allows_the_two_scripts_of_the_page_alone(page):
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    code = [text for attrs, text in page.scripts if attrs.get("type") != "application/json"]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in code]
    assert len(code) == 2
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.split("script-src")[1]


def test_figures_are_json_that_plotly_can_read(page):
    figures = [json.loads(text) for attrs, text in page.scripts if attrs.get("type") == "application/json"]
    assert len(figures) == len(page.all("figure")) - len(page.all("img")) == 4
    assert [trace["name"] for trace in figures[0]["data"]][-1] == "distilled (distilled)"


def test_nothing_from_a_run_acts(make_run, tmp_path):
    scores = {"miou": 0.5, "pixel_accuracy": 0.5, "per_class_iou": {EVIL: 0.5}}
    evil = {
        "name": EVIL, "model": EVIL, "protocol": EVIL, "score": scores,
        "labels": {"names": [EVIL], "colors": [[1, 2, 3]]},
    }  # fmt: skip
    run = make_run("evil", "distilled", terms={EVIL: {}}, teacher={"name": EVIL, "miou": 0.7}, **evil)
    alone = make_run("alone", **evil)
    (run / "recipe.yaml").write_text(EVIL)
    (run / "environment.json").write_text(json.dumps({EVIL: EVIL, "packages": {EVIL: EVIL}}))
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 1, "parts": {EVIL: 1.0}}) + "\n")
    clean = Page(write_report([make_run("clean", "distilled"), make_run("b")], tmp_path / "b.html").read_text())
    text = write_report([run, alone], tmp_path / "a.html").read_text()
    page = Page(text)
    assert EVIL not in text
    assert "<img src=x" not in text
    assert len(page.all("script")) == len(clean.all("script"))
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert EVIL in "".join(page.words)  # shown as the text that it is
    for attrs, script in page.scripts:
        if attrs.get("type") == "application/json":
            assert not set("<>&") & set(script)
            names = [trace["name"] for trace in json.loads(script)["data"]]
            assert not [name for name in names if "<" in name]


def test_a_single_run(make_run, tmp_path):
    page = Page(write_report([make_run("teacher", "teacher", 0.7)], tmp_path / "r.html").read_text())
    assert "teacher reaches 70.00 mIoU." in "".join(page.words)
    assert not [attrs for attrs in page.all("section") if "gap" in attrs.get("class", "")]


def test_the_bar_is_for_gains_alone(make_run, three_runs, tmp_path):
    def bars(runs):
        page = Page(write_report(runs, tmp_path / "r.html").read_text())
        return [attrs["style"] for attrs in page.all("div") if attrs.get("class") == "fill"]

    assert bars(three_runs) == ["width: 40%"]
    assert bars([three_runs[1], make_run("worse", "distilled", 0.46)]) == []


def test_a_run_without_anything_but_a_result(make_run, tmp_path):
    run = make_run("bare", score=None, protocol=None, labels=None, gallery=0)
    for name in ("recipe.yaml", "environment.json", "metrics.jsonl"):
        (run / name).unlink()
    page = Page(write_report([run], tmp_path / "r.html").read_text())
    assert "No run was scored" in "".join(page.words)
    assert not page.all("figure")


def test_not_a_run_writes_no_file(tmp_path):
    with pytest.raises(RunError):
        write_report([tmp_path], tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
