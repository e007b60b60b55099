"""The report in a real browser: nothing fails, nothing is loaded, figures are drawn, sorting works."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright
from tests.store.fakes import METHODS, NAMES, make_comparison, make_run

from segdistill.reports import rows_of, summarise, write_report
from segdistill.store.comparison import read_comparison

EVIL = "<script>alert(1)</script>\"'--><img src=x onerror=alert(2)><b>bold</b>"
CHROMIUM = os.environ.get("SEGDISTILL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

if not CHROMIUM and not os.environ.get("SEGDISTILL_NEED_CHROMIUM"):
    pytest.skip("no Chromium: install it, or name it in SEGDISTILL_CHROMIUM", allow_module_level=True)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """One run, a comparison, a crowded comparison, and one in which every name attacks the page."""
    folder = tmp_path_factory.mktemp("reports")
    one = make_run(folder / "one", "demo_student_of_long_name", "student", 0.42, 0)
    crowd = {"none": 0.42} | {f"method-{k}": 0.43 + k / 500 for k in range(13)}
    evil = {"none": 0.42, EVIL: 0.47, f"{EVIL}-2": 0.46}
    for name, options in {
        "comparison": {},
        "crowd": {"methods": crowd, "names": [f"class {k}" for k in range(171)], "pictures": 1, "seeds": 2},
        "hostile": {"methods": evil, "names": [f"{EVIL}{k}" for k in range(len(NAMES))], "pictures": 1},
    }.items():
        make_comparison(folder / name, **options)
        comparison = read_comparison(folder / name)
        write_report(rows_of(comparison), folder / f"{name}.html", comparison)
    write_report(summarise([one]), folder / "single.html")
    return folder


@pytest.fixture
def open_page(browser, reports):
    """Open a report; when the test ends, nothing may have failed, spoken or been loaded."""
    contexts, faults = [], []

    def open_page(name, width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce", **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(dialog.message) or dialog.dismiss())
        url = (reports / f"{name}.html").as_uri()
        page.route("**", lambda route: route.continue_() if route.request.url == url else refuse(route))
        page.goto(url)
        return page

    def refuse(route):
        if not route.request.url.startswith("data:image/"):
            faults.append(f"request: {route.request.url}")
        route.continue_() if route.request.url.startswith("data:") else route.abort()

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def draw_all(page):
    """Unfold everything and scroll past it, as a patient reader would; return the number of figures."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    charts = page.locator(".chart")
    for index in range(charts.count()):
        charts.nth(index).scroll_into_view_if_needed()
        charts.nth(index).locator(".main-svg").first.wait_for(state="attached")
    return charts.count()


def column(page, number):
    return page.locator(f"#scores ~ .scroll tbody tr > :nth-child({number})").all_inner_texts()


@pytest.mark.parametrize("name", ["single", "comparison", "crowd", "hostile"])
def test_every_figure_is_drawn(open_page, reports, name):
    page = open_page(name)
    count = draw_all(page)
    assert count >= (8 if name == "single" else 15)
    empty = "els => els.filter(el => !el.querySelector('.trace, .hm, .point, .boxlayer path')).length"
    assert page.locator(".chart .plot").evaluate_all(empty) == 0
    assert page.locator("b", has_text="bold").count() == 0
    assert (reports / f"{name}.html").stat().st_size < 10_000_000


@pytest.mark.parametrize("name", ["single", "comparison", "crowd", "hostile"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_does_not_scroll_sideways(open_page, name, width):
    page = open_page(name, width)
    draw_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_table_is_sorted_by_mouse_and_keyboard(open_page):
    page = open_page("comparison")
    header = page.locator("#scores ~ .scroll thead th")
    miou = next(k for k, text in enumerate(header.all_inner_texts(), 1) if text.startswith("mIoU"))
    scores = [float(text.split()[0]) for text in column(page, miou)]
    header.nth(miou - 1).locator("button").click()
    assert [float(text.split()[0]) for text in column(page, miou)] == sorted(scores, reverse=True)
    assert header.nth(miou - 1).get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert [float(text.split()[0]) for text in column(page, miou)] == sorted(scores)
    page.keyboard.press("Shift+Tab")
    while page.evaluate("document.activeElement.closest('th').cellIndex") > 0:
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    names = [text.split()[0] for text in column(page, 1)]
    assert names == sorted(names)
    assert page.locator("th[aria-sort]").count() == 1


def test_entries_without_a_value_come_last(open_page):
    page = open_page("comparison")
    header = page.locator("#scores ~ .scroll thead th")
    alone = next(k for k, text in enumerate(header.all_inner_texts(), 1) if text.startswith("gap"))
    for _ in range(2):
        header.nth(alone - 1).locator("button").click()
        assert [text == "-" for text in column(page, alone)] == [False] * (len(METHODS) - 1) + [True] * 2


def test_the_pictures_are_sorted(open_page):
    page = open_page("comparison")
    names = page.locator(".sample h3")
    by_spread = names.all_inner_texts()
    page.get_by_role("button", name="name", exact=True).click()
    assert names.all_inner_texts() == sorted(by_spread) != by_spread
    assert page.locator(".by [aria-pressed=true]").all_inner_texts() == ["name"]
    button = page.get_by_role("button", name="gain over the student alone")
    button.focus()
    page.keyboard.press("Enter")
    gains = page.locator(".sample").evaluate_all("els => els.map(el => Number(el.dataset.gain))")
    assert gains == sorted(gains, reverse=True)
    page.get_by_role("button", name="mistakes", exact=True).click()
    assert not page.locator(".sample .prediction").first.is_visible()
    assert page.locator(".sample .errors").first.is_visible()


def test_rows_are_hidden_and_figures_chosen(open_page):
    page = open_page("comparison")
    chart = page.locator(".chart", has_text="Validation mIoU")
    chart.scroll_into_view_if_needed()
    lines = chart.locator(".scatterlayer .js-line")
    lines.first.wait_for()
    before = lines.count()
    page.locator(".rows button").first.click()
    assert page.locator(".rows button").first.get_attribute("aria-pressed") == "false"
    assert lines.count() < before
    chart.locator("select").select_option("training time")
    chart.get_by_text("minutes since the start").wait_for()
    assert lines.count() < before


def test_charts_of_one_row_change_together(open_page):
    page = open_page("comparison")
    draw_all(page)
    page.locator(".chart", has_text="Confusion matrix").locator("select").select_option("kd (distilled)")
    chosen = page.locator(".chart", has_text="Largest confusions").locator("select")
    assert chosen.evaluate("el => el.value") == "kd (distilled)"


def test_dark_pages_have_light_text_in_figures(open_page):
    def brightness(page):
        text = page.locator(".chart .xtick text").first
        text.wait_for()
        fill = text.evaluate("el => getComputedStyle(el).fill")
        return sum(int(part) for part in fill.removeprefix("rgb(").removesuffix(")").split(",")) / 3

    assert brightness(open_page("comparison", color_scheme="dark")) > 180
    assert brightness(open_page("comparison", color_scheme="light")) < 80


def test_the_keyboard_reaches_the_scores_first(open_page):
    page = open_page("comparison")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the scores"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    page.wait_for_url("**#scores")


@pytest.mark.parametrize("name", ["single", "comparison", "crowd"])
def test_no_axis_shows_a_negative_time(open_page, name):
    page = open_page(name)
    draw_all(page)
    axes = "els => els.map(el => el._fullLayout.xaxis).map(axis => [axis.title?.text, axis.range[0]])"
    ranges = page.locator(".chart .plot.js-plotly-plot").evaluate_all(axes)
    timed = [
        low for title, low in ranges if title and ("minutes" in title or "milliseconds" in title or title == "step")
    ]
    assert timed
    assert min(timed) >= 0


@pytest.mark.parametrize("name", ["single", "comparison"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_name_of_a_row_is_not_broken(open_page, name, width):
    page = open_page(name, width)
    heights = """els => els.map(el => {
        const range = document.createRange();
        range.selectNodeContents([...el.childNodes].find(node => node.nodeType === 3 && node.textContent.trim()));
        return range.getClientRects().length;
    })"""
    assert set(page.locator("#scores ~ .scroll tbody th").evaluate_all(heights)) == {1}


def test_print_draws_every_figure(open_page, tmp_path):
    page = open_page("comparison")
    page.pdf(path=tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").stat().st_size > 50_000
    shown = page.locator(".chart:visible").count()
    assert page.locator(".chart:visible .plot.js-plotly-plot").count() == shown
