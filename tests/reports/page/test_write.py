import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.store.fakes import COLORS, NAMES, make_comparison

from segdistill.reports import headline, rows_of, summarise, write_report
from segdistill.reports import page as page_room
from segdistill.store import read_comparison
from segdistill.util import RunError

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
    return Page(write_report(summarise(three_runs), tmp_path / "out" / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    make_comparison(folder, seeds=2, pictures=2)
    comparison = read_comparison(folder)
    return Page(write_report(rows_of(comparison), folder / "report.html", comparison).read_text(encoding="utf-8"))


def test_the_answer_comes_first(page, three_runs):
    text = "".join(page.words)
    answer = headline(summarise(three_runs))
    assert answer in text
    order = [
        answer,
        "Did it help?",
        "Undecided: +8.00 points",
        "What did it cost?",
        "Where does it fail?",
        "Scores and cost",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert [tag for tag, _ in page.tags if tag in ("h1", "h2")][:5] == ["h1", "h2", "h2", "h2", "h2"]


def test_a_comparison_has_every_part(compared):
    titles = ["Scores and cost", "While training", "Where it gains and where it fails", "What is taken for what",
              "Loss terms and their gradients", "What the features look like",
              "How close the students are to the teacher", "Pictures", "How it was done"]  # fmt: skip
    text = "".join(compared.words)
    assert all(text.count(title) == 2 for title in titles), "once in the list of parts, once above the part"
    targets = {attrs["href"] for attrs in compared.all("a")}
    assert targets == {f"#{attrs['id']}" for attrs in compared.all("h2") if not attrs["id"].startswith("answer")}
    for told in ("segdistill compare streets --seeds 3", "the same training time for every method, 9.0 min"):
        assert told in text


def test_interactive_parts_have_names(compared):
    assert all(attrs["type"] == "button" for attrs in compared.all("button"))
    regions = [attrs for _, attrs in compared.tags if attrs.get("role") in ("region", "group", "img")]
    assert all(attrs.get("aria-label") or attrs.get("aria-labelledby") for attrs in regions)
    scrolling = [attrs for attrs in compared.all("div") if attrs.get("role") == "region"]
    assert all(attrs["tabindex"] == "0" for attrs in scrolling)
    identifiers = [attrs["id"] for _, attrs in compared.tags if "id" in attrs]
    assert len(identifiers) == len(set(identifiers))


def test_one_file_that_loads_nothing(three_runs, tmp_path):
    path = write_report(summarise(three_runs), tmp_path / "report.html")
    assert path.stat().st_size < 10_000_000
    page = Page(path.read_text(encoding="utf-8"))
    assert not [attrs for _, attrs in page.tags if "src" in attrs and not attrs["src"].startswith("data:image/")]
    assert not [tag for tag, attrs in page.tags if tag in ("link", "iframe", "object")]
    assert all(attrs["href"].startswith("#") for _, attrs in page.tags if "href" in attrs)
    assert all(attrs["alt"] for attrs in page.all("img"))
    assert len(page.all("img")) == 2 * (2 + 3 * 2)


def test_the_policy_allows_the_two_scripts_of_the_page_alone(page):
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    code = [text for attrs, text in page.scripts if attrs.get("type") != "application/json"]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in code]
    assert len(code) == 2
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.split("script-src")[1]


def test_every_chart_has_its_figures(compared):
    charts = [attrs for attrs in compared.all("figure") if "chart" in attrs.get("class", "")]
    figures = [json.loads(text) for attrs, text in compared.scripts if attrs.get("type") == "application/json"]
    options = len(compared.all("option")) - len(compared.all("select"))
    assert len(figures) == len(charts) + options
    assert all(figure["data"] for figure in figures)


def test_nothing_from_a_run_acts(tmp_path):
    def report(name):
        runs = make_comparison(
            tmp_path / str(len(name)),
            methods={"none": 0.4, name: 0.5},
            names=[f"{name}{k}" for k in range(11)],
            seeds=1,
        )
        (runs[2] / "recipe.yaml").write_text(name)
        (runs[2] / "environment.json").write_text(json.dumps({name: name, "packages": {name: name}}))
        with (runs[2] / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": 300, "parts": {name: 1.0}, "grad_norms": {name: 1.0}}) + "\n")
        comparison = read_comparison(tmp_path / str(len(name)))
        return write_report(rows_of(comparison), tmp_path / "r.html", comparison).read_text()

    clean, text = Page(report("clean-1")), report(EVIL)
    page = Page(text)
    assert EVIL not in text
    assert "<img src=x" not in text
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in clean.tags]
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert EVIL in "".join(page.words)  # shown as the text that it is
    for attrs, script in page.scripts:
        if attrs.get("type") == "application/json":
            assert not set("<>&") & set(script)
            assert "<script" not in json.dumps(json.loads(script)), "Plotly takes some tags for markup"


def test_a_single_run(make_run, tmp_path):
    page = Page(write_report(summarise([make_run("teacher", "teacher", 0.7)]), tmp_path / "r.html").read_text())
    assert "70.00 % mIoU" in "".join(page.words)
    assert not [attrs for attrs in page.all("div") if attrs.get("class") in ("gap", "bar rows")]


def test_the_bar_is_for_gains_alone(make_run, three_runs, tmp_path):
    def bars(runs):
        page = Page(write_report(summarise(runs), tmp_path / "r.html").read_text())
        return [attrs["style"] for attrs in page.all("span") if attrs.get("class") == "fill"]

    assert bars(three_runs) == ["width: 40%"]
    assert bars([three_runs[1], make_run("worse", "distilled", 0.46)]) == []


def test_the_bar_is_green_only_if_the_difference_is_decided(make_run, tmp_path):
    def bar(name, scores):
        runs = [make_run(f"{name}/alone-{s}", miou=0.5, seed=s, name="alone", gallery=0) for s in range(3)]
        runs += [make_run(f"{name}/kd-{s}", "distilled", m, seed=s, name="kd", gallery=0) for s, m in enumerate(scores)]
        page = Page(write_report(summarise(runs), tmp_path / "r.html").read_text())
        return [each for attrs in page.all("span") if "fill" in (each := attrs.get("class") or "")]

    assert bar("noise", [0.56, 0.49, 0.53]) == ["fill"]
    assert bar("gain", [0.56, 0.57, 0.565]) == ["fill decided"]
    css = (Path(page_room.__file__).parent / "assets/report.css").read_text()
    assert ".fill { display: block; height: 100%; min-width: 3px; background: var(--soft); }" in css


def test_a_class_has_one_colour_in_legends_maps_and_pictures(compared):
    text = "".join(f"{tag} {attrs}" for tag, attrs in compared.tags)
    for name, color in zip(NAMES, COLORS, strict=True):
        value = "#" + bytes(color).hex()
        assert f"background: {value}" in text, name
        assert any(attrs.get("fill") == value for attrs in compared.all("path")), name
    figures = [json.loads(script) for attrs, script in compared.scripts if attrs.get("type") == "application/json"]
    drawn = {
        trace["name"]: trace["marker"]["color"] for f in figures for trace in f["data"] if trace.get("name") in NAMES
    }
    assert drawn == {name: "#" + bytes(color).hex() for name, color in zip(NAMES, COLORS, strict=True)}


def test_the_notes_of_a_run_and_its_dead_terms_are_told(three_runs, tmp_path):
    run = three_runs[2]
    known = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps(known | {"notes": [f"Switched off {EVIL}"]}))
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 300, "parts": {"af_dcd.contrast": 0.0}}) + "\n")
    page = Page(write_report(summarise(three_runs), tmp_path / "r.html").read_text())
    assert f"distilled: Switched off {EVIL}" in "".join(page.words)
    assert "".join(page.words).count("af_dcd.contrast is 0 throughout.") == 2, "with the notes and beside the chart"
    assert [attrs for attrs in page.all("p") if attrs.get("class") == "note"]


def test_entries_are_sorted_by_their_number(compared):
    values = [attrs.get("data-value") for attrs in compared.all("td")]
    assert None not in values[:10]
    assert all(value == "" or float(value) is not None for value in values if value is not None)


def test_a_run_without_anything_but_a_result(make_run, tmp_path):
    run = make_run("bare", score=None, protocol=None, labels=None, gallery=0)
    for path in run.iterdir():
        if path.name != "result.json":
            path.unlink()
    page = Page(write_report(summarise([run]), tmp_path / "r.html").read_text())
    assert "No run was scored" in "".join(page.words)
    assert not page.all("figure")


def test_not_a_run_writes_no_file(tmp_path):
    with pytest.raises(RunError):
        write_report(summarise([tmp_path]), tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
