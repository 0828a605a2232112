"""All reports of a document say the same words and numbers, and bear any text."""

from __future__ import annotations

import html
import re
from typing import get_args
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_metersphere.reports.document import Document, ScenarioResult, Verdict
from pytest_metersphere.reports.figures import totals_figures
from pytest_metersphere.reports.html import render_html
from pytest_metersphere.reports.junit import render_junit
from pytest_metersphere.reports.markdown import render_summary
from pytest_metersphere.reports.results import decode_results, encode_results
from tests.reports.documents import open_document, sample_document
from tests.reports.pages import Element, read_page

_ANY_TEXT = st.text(
    st.characters() | st.sampled_from("\x00\x1b\x85\u2028\u202e\u2066\ufffe\ud800🎉|`<&'\"\\@:")
)


def _xml_text(document: Document) -> str:
    root = ET.fromstring(render_junit(document))  # noqa: S314 - our own text
    messages = [each.get("message", "") for tag in ("failure", "error") for each in root.iter(tag)]
    return "\n".join([*root.itertext(), *messages])


def _summary_text(document: Document) -> str:
    return html.unescape(render_summary(document)).replace("\u200b", "")


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_findings_are_the_same_sentences_everywhere(verdict: Verdict) -> None:
    """Each finding and each message of a threshold stands in all four reports, word by word."""
    document = sample_document(verdict)
    scenario = document.scenarios[0]
    sentences = [*scenario.findings, *(threshold.message for threshold in scenario.thresholds)]
    read = decode_results(encode_results(document)).scenarios[0]

    for sentence in sentences:
        assert sentence in read_page(render_html(document)).text
        assert sentence in _xml_text(document)
        assert sentence in _summary_text(document)
        assert sentence in [*read.findings, *(threshold.message for threshold in read.thresholds)]


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_totals_are_the_same_numbers_everywhere(verdict: Verdict) -> None:
    """Each total has the same name and the same digits in all four reports."""
    document = sample_document(verdict)
    figures = totals_figures(document.scenarios[0].totals)
    tiles = _tiles(read_page(render_html(document)))
    xml = _xml_text(document).splitlines()
    summary = _summary_text(document)

    for figure in figures:
        assert tiles[figure.name] == figure.text
        assert f"{figure.name}: {figure.text}" in xml
        assert f"| {figure.name} | {figure.text} |" in summary
    assert totals_figures(decode_results(encode_results(document)).scenarios[0].totals) == figures


def test_what_became_of_scheduled_iterations_is_the_same_sentence_everywhere() -> None:
    """It adds up, and so do the three numbers of results.json; the closed model has no word of it."""
    document = open_document()
    sentence = "1,000 iterations scheduled = 960 started + 40 dropped"
    ledger = decode_results(encode_results(document)).scenarios[0].ledger

    assert sentence in read_page(render_html(document)).text
    assert sentence in _xml_text(document)
    assert sentence in _summary_text(document)
    assert (ledger.scheduled, ledger.started, ledger.dropped) == (1000, 960, 40)
    assert "scheduled" not in _summary_text(sample_document())


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_verdict_is_the_same_word_everywhere(verdict: Verdict) -> None:
    """The verdict of a scenario is told with one word."""
    document = sample_document(verdict)

    assert read_page(render_html(document)).one("h1").text.lower() == verdict
    assert f'<property name="verdict" value="{verdict}" />' in render_junit(document)
    assert f"`test_cart`: {verdict}" in render_summary(document)
    assert decode_results(encode_results(document)).scenarios[0].verdict == verdict


def _filled(text: str) -> Document:
    """Return a document with the text in every place that others fill."""
    document = sample_document("failed", seconds=4, warmup=1, labels=[text, "b", "c"], message=text)
    session = document.session
    session.pool = session.host = session.python = session.started_at = session.git_sha = text
    scenario = document.scenarios[0]
    _fill(scenario, text)
    return document


def _fill(scenario: ScenarioResult, text: str) -> None:
    scenario.name = scenario.nodeid = scenario.file = scenario.run_id = scenario.started_at = text
    scenario.findings = [text, f"x{text}"]
    scenario.warnings = [text, f"x{text}"]
    scenario.plan[0].node = scenario.nodes[0].name = scenario.nodes[1].status = text
    threshold = scenario.thresholds[0]
    threshold.expr = threshold.message = threshold.label = text
    scenario.errors[1].exemplars = [text]
    scenario.validity.valid, scenario.validity.reasons = False, [text]


@given(_ANY_TEXT)
@example("\x00\x1b[31m\u202e\u2066\ufffe\ud800\r\n")
@example("</script><script>alert(1)</script>")
@example("| `a` \\| [b](c) <details>")
@settings(max_examples=60)
def test_every_report_bears_any_text(text: str) -> None:
    """Whatever stands in names, labels and messages, each report is whole, and text stays text."""
    document = _filled(text)
    plain = _filled("x")

    page, plain_page = read_page(render_html(document)), read_page(render_html(plain))
    root = ET.fromstring(render_junit(document))  # noqa: S314 - our own text
    summary = render_summary(document)
    read = decode_results(encode_results(document))

    assert _tags(page) - _tags(plain_page) <= {"code", "span"}
    assert [element.tag for element in root.iter()] == [
        element.tag
        for element in ET.fromstring(render_junit(plain)).iter()  # noqa: S314
    ]
    assert summary.encode()
    assert _shape(summary) == _shape(render_summary(plain))
    assert len(read.scenarios) == 1


def _tiles(page: Element) -> dict[str, str]:
    tiles = {}
    for tile in page.all("div", "tile"):
        value = tile.one("dd").content[0]
        assert isinstance(value, str)
        tiles[tile.one("dt").text] = value
    return tiles


def _tags(page: Element) -> set[str]:
    return {element.tag for element in page.all()}


def _shape(summary: str) -> list[tuple[int, int]]:
    """Return for each line how many unescaped pipes and how many tags of folds it has."""
    return [
        (
            len(re.findall(r"(?<!\\)\|", line)),
            len(re.findall("</?(?:details|summary)>", re.sub("`[^`]*`", "", line))),
        )
        for line in summary.split("\n")
    ]


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_warnings_are_the_same_sentences_everywhere(verdict: Verdict) -> None:
    """A warning stands in all four reports whatever the verdict, and changes none."""
    document = sample_document(verdict)
    document.scenarios[0].warnings = ["more than 500 labels came"]
    sentence = "warning: more than 500 labels came"

    assert sentence in read_page(render_html(document)).text
    assert sentence in _xml_text(document)
    assert sentence in _summary_text(document)
    assert decode_results(encode_results(document)).scenarios[0].warnings == ["more than 500 labels came"]
    assert f"`test_cart`: {verdict}" in render_summary(document)
