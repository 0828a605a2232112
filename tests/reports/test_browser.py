"""report.html in a real browser, from file://, with JavaScript and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_metersphere.reports.document import Document
from pytest_metersphere.reports.html import render_html
from tests.parts import require
from tests.reports.chromium import Chromium, chromium
from tests.reports.documents import sample_document
from tests.reports.pages import Element, read_page

pytestmark = pytest.mark.needs_browser

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Start a Chromium for the tests of this file."""
    binary = require(pytestconfig, *_NAMES, hint="apt-get install chromium")
    with chromium(binary, tmp_path_factory.mktemp("profile")) as running:
        yield running


def _written(path: Path, document: Document) -> Path:
    path.write_text(render_html(document), encoding="utf-8")
    return path


def _hard_document() -> Document:
    labels = ["<script>alert(1)</script>", "GET /cart", *(f"GET /{i}/{'long' * i}" for i in range(30)), "buy"]
    return sample_document("failed", scenarios=2, labels=labels, message="y" * 500)


def _first(body: Element) -> str:
    return next(body.all("th", "label-name")).text.split(" ")[0]


@pytest.mark.parametrize("scripts", [True, False], ids=["script", "no-script"])
def test_report_is_whole_and_without_complaints(
    browser: Chromium,
    tmp_path: Path,
    scripts: bool,  # noqa: FBT001
) -> None:
    """Verdict, tables and charts are there, and neither the policy nor a script reports anything."""
    opened = browser.open(_written(tmp_path / "report.html", _hard_document()), scripts=scripts)

    page = read_page(opened.html)
    assert opened.complaints == []
    assert page.one("h1").text.strip() == "Failed"
    assert "p95 212 ms, limit < 200 ms" in page.one("ul", "overview").text
    assert len(list(page.all("figure", "chart"))) == 6
    assert len(list(page.all("table", "labels"))) == 2
    assert "<script>alert(1)</script>" in page.one("main").text
    assert bool(list(page.all("button"))) == scripts


@pytest.mark.parametrize("width", [400, 700, 1200])
def test_report_is_never_wider_than_its_window(browser: Chromium, tmp_path: Path, width: int) -> None:
    """On a phone and on a desk, only tables scroll sideways, never the page."""
    opened = browser.open(_written(tmp_path / "report.html", _hard_document()), width=width)

    assert opened.width == width


def test_a_click_sorts_the_labels_within_their_group(browser: Chromium, tmp_path: Path) -> None:
    """The head of a column sorts, largest first and on a second click smallest first; groups stay."""
    path = _written(tmp_path / "report.html", sample_document(labels=["a", "b", "c", "purchase"]))
    click = "[...document.querySelectorAll('.labels button')].find(b => b.textContent === 'p95').click();"

    once, twice = (read_page(browser.open(path, then=click * times).html) for times in (1, 2))

    assert [_first(row) for row in once.all("tbody", "label")] == ["c", "b", "a", "purchase"]
    assert [_first(row) for row in twice.all("tbody", "label")] == ["a", "b", "c", "purchase"]


def test_the_pointer_reads_a_chart(browser: Chromium, tmp_path: Path) -> None:
    """Over a chart, the legend shows the values of the second under the pointer; without it, none."""
    path = _written(tmp_path / "report.html", sample_document(seconds=10, warmup=2))
    move = """
        const plot = document.querySelector(".users .plot");
        const box = plot.getBoundingClientRect();
        const clientX = box.left + box.width * 0.99;
        plot.dispatchEvent(new PointerEvent("pointermove", { clientX }));
    """
    leave = "plot.dispatchEvent(new PointerEvent('pointerleave'));"

    over, away = (
        read_page(browser.open(path, then=then).html).one("figure", "users") for then in (move, move + leave)
    )

    assert (over.one("span", "value").text, over.one("span", "at").text) == ("1,000", "at 9 s")
    assert list(over.all("line", "cursor"))
    assert (away.one("span", "value").text, away.one("span", "at").text) == ("", "")
    assert not list(away.all("line", "cursor"))


def test_policy_stops_what_is_not_ours(browser: Chromium, tmp_path: Path) -> None:
    """A script, a style or an image that got into the page by any way is refused, and the browser says so."""
    path = tmp_path / "report.html"
    text = render_html(sample_document()).replace(
        "</main>",
        '<script>document.body.className = "owned"</script><p style="color: red">x</p>'
        '<img src="http://127.0.0.1:9/x.png"></main>',
    )
    path.write_text(text, encoding="utf-8")

    opened = browser.open(path)

    assert 'class="owned"' not in opened.html
    assert len(opened.complaints) == 3
    assert all("Content Security Policy" in complaint for complaint in opened.complaints)
