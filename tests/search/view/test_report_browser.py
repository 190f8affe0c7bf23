"""The report in a real browser: what a person sees, points at and clicks."""

import pytest
from PIL import Image

from keras_nasnet.search.view.report import write_report
from tests.support import chromium
from tests.support.sample_search import write_sample

pytestmark = pytest.mark.skipif(
    chromium.PROGRAM is None, reason="no Chromium is installed (Debian: apt install chromium)"
)

TABS = ("reward", "cells", "pareto", "policy", "costs", "children", "settings")
SHOWN = "[...document.querySelectorAll('section')].filter(part => part.offsetHeight > 0).map(part => part.id)"
# Texts of a chart that stand on one another, or reach out of it.
CLASHES = """
[...document.querySelectorAll('section:not([hidden]) .chart')].flatMap(chart => {
  const frame = chart.getBoundingClientRect();
  const boxes = [...chart.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
  const outside = boxes.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1 ||
    box.top < frame.top - 1 || box.bottom > frame.bottom + 1).map(([words]) => words + ' is outside');
  const pairs = boxes.flatMap(([words, box], number) => boxes.slice(number + 1).filter(([, other]) =>
    box.left + 1 < other.right && other.left + 1 < box.right && box.top + 4 < other.bottom && other.top + 4 < box.bottom
  ).map(([others]) => words + ' is on ' + others));
  return [...outside, ...pairs];
})"""
SIZES = "[...document.querySelectorAll('section:not([hidden]) .chart')].map(c => [c.clientWidth, c.clientHeight])"
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser():
    with chromium.Chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    write_sample(folder, 200, message="a worker <b>died</b>: " + "long" * 100)
    return write_report(folder)


@pytest.fixture
def page(browser, report):
    """The report, just opened; nothing it does may make the browser complain."""
    browser.complaints.clear()
    browser.resize(1280, 800)
    browser.open(report)
    yield browser
    assert browser.complaints == []


def visible(page, selector: str) -> int:
    """Number of elements that take up room and are not in something hidden or folded."""
    shown = "part.checkVisibility() && part.getBoundingClientRect().width > 0"
    return page.run(f"[...document.querySelectorAll({selector!r})].filter(part => {shown}).length")


def test_each_tab_shows_its_section_alone(page):
    assert page.run(SHOWN) == ["reward"]
    for tab in (*TABS[1:], TABS[0]):
        page.click(f'nav a[href="#{tab}"]')
        assert page.run(SHOWN) == [tab]
        assert page.run("document.querySelector('[aria-selected=true]').hash") == f"#{tab}"
    page.press("ArrowLeft")
    assert page.run(SHOWN) == ["settings"]
    page.run("new Promise(done => { addEventListener('hashchange', done, {once: true}); location.hash = '#cells'; })")
    assert page.run(SHOWN) == ["cells"]


@pytest.mark.parametrize("width", [1280, 420])
def test_charts_have_a_size_and_texts_stand_clear(page, width, tmp_path):
    page.resize(width, 800)
    charts = {"reward": 1, "cells": 0, "pareto": 1, "policy": 3, "costs": 1, "children": 0, "settings": 0}
    for tab in TABS:
        page.click(f'nav a[href="#{tab}"]')
        sizes = page.run(SIZES)
        assert len(sizes) == charts[tab]
        assert all(wide >= 600 and high >= 100 for wide, high in sizes)
        assert page.run(CLASHES) == []
        assert page.run(FITS), f"{tab} is wider than the window"
        page.screenshot(tmp_path / f"{tab}.png")
        with Image.open(tmp_path / f"{tab}.png") as picture:
            assert picture.size == (width, 800)
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 50  # something is drawn


def test_cells_are_drawn_and_their_genotypes_unfold(page):
    page.click('nav a[href="#cells"]')
    assert visible(page, "#cells .cell svg") == 4  # three of the controller, one of the control
    assert visible(page, "#cells pre") == 0
    page.click("#cells summary")
    assert visible(page, "#cells pre") == 1


def test_arms_are_hidden_and_shown_everywhere(page):
    counts = {}
    for tab, parts in {
        "reward": ".points path",
        "cells": "figure",
        "pareto": ".points path",
        "policy": ".area",
        "children": "tbody tr",
    }.items():
        page.click(f'nav a[href="#{tab}"]')
        selector = f"#{tab} [data-arm='1'] {parts}, #{tab} {parts}[data-arm='1']"
        other = selector.replace("'1'", "'0'")
        before = visible(page, selector), visible(page, other)
        page.click("[data-toggle='1']")
        assert page.run("document.querySelector(\"[data-toggle='1']\").getAttribute('aria-pressed')") == "false"
        assert (visible(page, selector), visible(page, other)) == (0, before[1])
        page.click("[data-toggle='1']")
        assert (visible(page, selector), visible(page, other)) == before
        counts[tab] = before
    assert all(min(before) > 0 for before in counts.values()), counts


def test_pointing_at_a_child_tells_about_it(page):
    assert visible(page, "#tip") == 0
    page.point_at("#reward [data-arm='1'] .points:not(.cross) path:last-of-type")
    assert page.run("document.getElementById('tip').textContent").startswith("trial ")
    assert " random; reward 0." in page.run("document.getElementById('tip').textContent")
    assert visible(page, "#tip") == 1
    page.point_at("h1")
    assert visible(page, "#tip") == 0


def test_all_sections_are_shown_without_scripts(page, report):
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(report)
        assert page.run(SHOWN) == list(TABS)
        assert visible(page, ".chart") == 6
        assert visible(page, "button") == 0  # they would do nothing
        assert page.run("document.querySelector('.points title').textContent").startswith("trial ")
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("budget", [0, 1])
def test_a_search_that_has_hardly_begun_is_shown(browser, tmp_path, budget):
    write_sample(tmp_path, budget)
    browser.complaints.clear()
    browser.open(write_report(tmp_path))
    for tab in TABS:
        browser.click(f'nav a[href="#{tab}"]')
        assert browser.run(SHOWN) == [tab]
        assert browser.run(CLASHES) == [] and browser.run(FITS)
    assert browser.complaints == []
