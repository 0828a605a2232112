"""report.html is one safe page that says everything, verdict first."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from typing import get_args

import pytest

from pytest_metersphere.reports.document import Verdict
from pytest_metersphere.reports.html import MAX_ROWS, render_html
from tests.reports.conftest import Golden
from tests.reports.documents import LABELS, sample_document
from tests.reports.pages import Element, read_page

_MARKUP = ("<script>alert(1)</script>", '" onload="alert(2)', "{{ 7*7 }}", "</style><img src=x>")


def _page(
    verdict: Verdict = "passed", *, scenarios: int = 1, labels: Sequence[str] = LABELS, seconds: int = 30
) -> Element:
    document = sample_document(verdict, scenarios=scenarios, labels=labels, seconds=seconds)
    return read_page(render_html(document))


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_verdict_comes_first_in_words(verdict: Verdict) -> None:
    """The page's only first-level heading is the overall verdict, and its scenario's badge says it too."""
    page = _page(verdict)

    assert page.one("h1").text.strip().lower() == verdict
    assert {badge.text for badge in page.all("span", "badge")} == {verdict}


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_verdict_is_never_told_by_colour_alone(verdict: Verdict) -> None:
    """Every badge and every state holds a word and a shape of its own."""
    page = _page(verdict)

    for mark in [*page.all("span", "badge"), *page.all("span", "state")]:
        assert mark.text.strip()
        assert list(mark.one("svg").all())


def test_page_loads_nothing() -> None:
    """No element asks for anything outside the page: links lead to places inside it."""
    page = _page("failed", scenarios=3)

    named = [
        e.attributes[name] for e in page.all() for name in ("src", "href", "action") if name in e.attributes
    ]
    assert named
    assert all(link.startswith("#") for link in named)
    assert not list(page.all("link"))
    assert "url(" not in page.one("style").text
    assert "@import" not in page.one("style").text


def test_policy_allows_just_the_style_and_the_script_of_the_page() -> None:
    """The Content-Security-Policy denies everything but the two inline elements, by their hashes."""
    page = _page("failed")

    policy = next(
        meta.attributes["content"]
        for meta in page.all("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    (script,) = (s for s in page.all("script") if "type" not in s.attributes)
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src {_hash_source(page.one('style').text)};" in policy
    assert f"script-src {_hash_source(script.text)};" in policy
    assert "unsafe" not in policy


def test_policy_would_not_be_broken_by_the_page_itself() -> None:
    """No element carries an inline style or an event handler, which the policy would refuse."""
    page = _page("failed", scenarios=2)

    names = {name for element in page.all() for name in element.attributes}
    assert not {name for name in names if name == "style" or name.startswith("on")}


@pytest.mark.parametrize("text", _MARKUP)
def test_labels_and_messages_stay_text(text: str) -> None:
    """A label, a message or a name that looks like markup is shown as it is and makes no element."""
    document = sample_document("failed", labels=[text, "b", "c"], message=text)
    document.scenarios[0].name = text
    document.scenarios[0].findings.append(text)
    plain = read_page(render_html(sample_document("failed", labels=["a", "b", "c"])))

    page = read_page(render_html(document))

    assert _elements(page, but="li") == _elements(plain, but="li")
    assert page.text.count(text) >= 4


def test_invisible_characters_are_shown_as_escapes() -> None:
    """Marks that turn the writing direction and control characters cannot disguise a label."""
    page = _page(labels=["GET /\u202egnp.exe\x1b[31m"])

    assert "GET /\\u202egnp.exe\\x1b[31m" in page.one("tbody", "label").text


def test_ids_are_unique_and_references_lead_somewhere() -> None:
    """Every id occurs once; every anchor and every aria-labelledby names one of them."""
    page = _page("failed", scenarios=3)

    ids = [element.attributes["id"] for element in page.all() if "id" in element.attributes]
    referred = {link.attributes["href"].removeprefix("#") for link in page.all("a")}
    for element in page.all():
        referred |= set(element.attributes.get("aria-labelledby", "").split())
    assert len(ids) == len(set(ids))
    assert referred
    assert referred <= set(ids)


def test_tables_have_heads_that_say_their_scope() -> None:
    """Every header cell has a scope and every row as many cells as its head."""
    page = _page("failed")

    assert all(head.attributes.get("scope") for head in page.all("th"))
    for table in page.all("table"):
        columns = len(list(table.one("thead").all("th")))
        for row in table.all("tr"):
            cells = [*row.all("th"), *row.all("td")]
            span = sum(int(cell.attributes.get("colspan", "1")) for cell in cells)
            assert span == columns or "service" in row.classes


def test_label_table_has_response_and_service_times() -> None:
    """A label has a line of response times and a line of service times below it."""
    page = _page(labels=["GET /cart"])

    response, service = page.one("tbody", "label").all("tr")
    assert [cell.text for cell in response.all("td")][-7:] == [
        "33 ms", "30 ms", "57 ms", "75 ms", "135 ms", "270 ms", "360 ms",
    ]  # fmt: skip
    assert [cell.text for cell in service.all("td")] == [
        "23.1 ms", "21 ms", "39.9 ms", "52.5 ms", "94.5 ms", "189 ms", "252 ms",
    ]  # fmt: skip


def test_transactions_stand_apart_behind_the_sum() -> None:
    """Transactions form a group of their own after the line over all requests and samples."""
    page = _page(labels=["GET /cart", "whole purchase"])

    bodies = [body.classes[0] for body in page.one("table", "labels").all("tbody")]
    assert bodies == ["group", "label", "total", "group", "label"]
    assert "transaction" in list(page.all("tbody", "label"))[1].text


def test_charts_are_drawn_and_described() -> None:
    """Three charts stand in the page, each with a title and a description for those who cannot see it."""
    page = _page()

    charts = list(page.all("figure", "chart"))
    assert [chart.one("span", "title").text for chart in charts] == [
        "Response times",
        "Requests and failures per second",
        "Users",
    ]
    for chart in charts:
        assert chart.one("desc").text.startswith(chart.one("title").text)
        assert [path.attributes["d"] for path in chart.one("svg", "curves").all("path")]
        assert json.loads(chart.one("script").text)


def test_warm_up_is_grey_and_the_threshold_dashed() -> None:
    """The warm-up has its shade, grey curves and its words in the legend; a limit on p95 is a line."""
    response, *_ = _page().all("figure", "chart")

    assert response.one("div", "plot").one("rect", "warmup").attributes["width"] == "16.67%"
    assert len(list(response.all("path", "in-warmup"))) == 3
    assert "p95 < 300 ms" in response.one("span", "legend").text
    assert list(response.one("div", "plot").all("line", "limit"))


def test_without_samples_the_page_says_so() -> None:
    """A scenario without any sample has dashes for its times and sentences instead of charts."""
    page = _page("error", labels=())

    assert not list(page.all("figure"))
    assert [note.text for note in page.all("p", "empty")] == [
        "No sample came, so there is no course to draw.",
        "No sample came.",
    ]
    assert page.one("dl", "lead-tiles").text.count("\N{EN DASH}") == 6


def test_without_scenarios_the_page_is_not_green() -> None:
    """A document without a scenario says that none ran and shows no verdict."""
    document = sample_document()
    document.scenarios.clear()

    page = read_page(render_html(document))

    assert page.one("h1").text.strip() == "Nothing ran"
    assert "passed" not in page.one("header").classes


def test_worst_scenario_is_listed_first() -> None:
    """The overview begins with what needs attention, the sections keep their order."""
    page = _page("failed", scenarios=3)

    assert [card.classes[1] for card in page.all("li", "card")] == ["failed", "passed", "passed"]
    assert [badge.text for badge in (a.one("h2").one("span", "badge") for a in page.all("article"))] == [
        "passed",
        "passed",
        "failed",
    ]


def test_nodes_show_plan_beside_what_was_seen() -> None:
    """A node's line holds capacity, planned users and users seen; one that did not answer says so."""
    document = sample_document()
    del document.scenarios[0].nodes[2]

    page = read_page(render_html(document))

    first, _, last = page.one("table", "nodes").one("tbody").all("tr")
    assert [cell.text for cell in first.all("td")][:3] == ["400", "400", "400"]
    assert "differs" not in first.classes
    assert [cell.text for cell in last.all("td")][-1] == "nothing heard"
    assert "differs" in last.classes


def test_ledger_shows_when_it_does_not_add_up() -> None:
    """The equation of exchanges is marked when its two sides differ."""
    document = sample_document()
    fine = read_page(render_html(document)).one("p", "equation")
    document.scenarios[0].ledger.counted -= 1

    wrong = read_page(render_html(document)).one("p", "equation")

    assert fine.text == "587 exchanges = 500 counted + 83 warm-up + 4 interrupted"
    assert "wrong" not in fine.classes
    assert wrong.text == "587 exchanges ≠ 499 counted + 83 warm-up + 4 interrupted"
    assert "wrong" in wrong.classes


def test_a_long_run_stays_readable() -> None:
    """The table of a run of an hour has few rows, and a sentence says what was put together."""
    page = _page(seconds=3600)

    assert len(list(page.one("table", "course").one("tbody").all("tr"))) <= MAX_ROWS
    assert "3,600 slots were put together into 300" in page.text


def test_report_to_the_letter(golden: Golden) -> None:
    """The whole page of a failed scenario; style, script and their hashes left out."""
    text = render_html(sample_document("failed", seconds=4, warmup=1, labels=["GET /cart", "purchase"]))

    text = re.sub(r"<(style|script)>.*?</\1>", r"<\1></\1>", text, flags=re.DOTALL)
    golden("report.html", re.sub(r"'sha256-[^']+'", "'sha256-…'", text))


def _hash_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _elements(page: Element, *, but: str) -> list[tuple[str, frozenset[str]]]:
    return [(e.tag, frozenset(e.attributes)) for e in page.all() if e.tag != but]
