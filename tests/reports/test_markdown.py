"""summary.md says the verdict first, stays in shape whatever it quotes, and stays small."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from pytest_metersphere.reports.document import ErrorInfo, Verdict
from pytest_metersphere.reports.markdown import render_summary
from pytest_metersphere.reports.page import MAX_SIZE, code, escape
from tests.reports.conftest import Golden
from tests.reports.documents import sample_document


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_verdict_is_the_first_line(verdict: Verdict) -> None:
    """The page begins with a third-level heading that ends with the overall verdict."""
    first = render_summary(sample_document(verdict, scenarios=2)).splitlines()[0]

    assert first.startswith("### ")
    assert first.endswith(f" Load test {verdict}")


def test_findings_come_before_any_table_or_fold() -> None:
    """The worst scenario and its findings stand above everything else."""
    text = render_summary(sample_document("failed", scenarios=3))

    assert "`test_search`: failed" in text
    assert text.index("p95 212 ms, limit") < text.index("| users |") < text.index("<details>")
    assert text.index("`test_search`: failed") < text.index("`test_cart`: passed")


def test_details_are_folded_and_closed() -> None:
    """Every fold is closed, with the blank lines around its content that Markdown needs."""
    text = render_summary(sample_document("failed", scenarios=2))

    assert text.count("<details>") == text.count("</details>") > 10
    assert all(part.startswith("\n\n") for part in text.split("</summary>")[1:])
    assert all(part.endswith("\n\n") for part in text.split("</details>")[:-1])


@pytest.mark.parametrize("text", ["a|b", "a\\|b", "`|`", "\n| x | y |\n", "| --- |", "`" * 9])
def test_no_text_adds_a_cell_or_a_line_to_a_table(text: str) -> None:
    """Pipes, backticks and line ends in labels and messages leave every table in shape."""
    document = sample_document("failed", labels=[text, "b", "c"], message=text)
    document.scenarios[0].nodes[0].status = text
    document.scenarios[0].thresholds[0].expr = text

    assert _shape(render_summary(document)) == _shape(render_summary(sample_document("failed")))


@pytest.mark.parametrize(
    "text",
    [
        "*bold*",
        "_it_",
        "[a](b)",
        "<b>",
        "&lt;",
        "~~no~~",
        "#1",
        "$x$",
        ":smile:",
        "https://a.b",
        "`x`",
        "\\*",
    ],
)
def test_text_neither_formats_nor_links(text: str) -> None:
    """What would format, link or become an emoji is written with character references."""
    escaped = escape(text)

    assert escaped != text
    assert not re.search(r"[*`<>\[\]$~\\]|_i|:\S|#(?!\d+;)", escaped)


def test_nobody_is_mentioned() -> None:
    """An at sign is parted from the name behind it by a space of no width."""
    assert escape("ask @octocat") == "ask @&#8203;octocat"


@pytest.mark.parametrize("text", ["- a", "+ a", "= a", "1. a", "23) a"])
def test_text_at_the_begin_of_a_line_makes_no_list(text: str) -> None:
    """A finding that begins like a list or a heading stays a sentence."""
    assert escape(text).startswith("&#")


def test_ordinary_words_stay_readable() -> None:
    """What needs no escape has none, so that the file can be read as it is."""
    assert escape("error_rate 2%, limit = 1% (GET /cart: 7.5 a second)") == (
        "error_rate 2%, limit = 1% (GET /cart: 7.5 a second)"
    )
    assert code("GET /items/{}?a=<b>&c=*") == "`GET /items/{}?a=<b>&c=*`"


@pytest.mark.parametrize(
    ("text", "expected"), [("", "(empty)"), ("a|b", "<code>a&#124;b</code>"), (" a\n b", "`a b`")]
)
def test_code_is_never_torn(text: str, expected: str) -> None:
    """An empty text has a word, a hard one an element, and white space is one space."""
    assert code(text) == expected


def test_a_large_document_is_cut_and_says_what_is_missing() -> None:
    """Below 1 MiB the verdicts and findings are all there, and the note names what was left out."""
    document = sample_document("failed", scenarios=3, labels=[f"GET /{i}/{'x' * 390}" for i in range(400)])
    for scenario in document.scenarios:
        scenario.errors = [
            ErrorInfo(label="é" * 390, kind="status", message="ö" * 390, count=1, exemplars=[])
            for _ in range(400)
        ]

    text = render_summary(document)

    assert MAX_SIZE * 0.9 < len(text.encode()) < MAX_SIZE
    assert all(f"`{scenario.name}`: {scenario.verdict}" in text for scenario in document.scenarios)
    assert text.count("<details>") == text.count("</details>")
    note = text.splitlines()[-1]
    assert note.startswith("**Cut to stay below 1 MiB:** ")
    assert re.search(r"\d+ of \d+ lines of (Labels|Errors) of `test_\w+", note)
    assert note.endswith("All of it is in report.html and results.json.")


@pytest.mark.parametrize("findings", [["y" * 3_000_000], ["é@" * 4000] * 20])
def test_endless_findings_are_cut_too(findings: list[str]) -> None:
    """Findings of any length and number leave the page below its limit."""
    document = sample_document("failed", scenarios=30)
    for scenario in document.scenarios:
        scenario.verdict, scenario.findings = "failed", findings

    text = render_summary(document)

    assert text.startswith("### ❌ Load test failed\n")
    assert len(text.encode()) < MAX_SIZE


def test_a_small_document_is_not_cut() -> None:
    """What fits is all there, and no note says otherwise."""
    assert "Cut to stay" not in render_summary(sample_document("failed", scenarios=5))


def test_without_scenarios_there_is_no_verdict() -> None:
    """A document without a scenario says that none ran."""
    document = sample_document()
    document.scenarios.clear()

    text = render_summary(document)

    assert text.startswith("### ❔ Load test without a verdict\n\nNo load scenario ran")


def test_missing_values_are_dashes() -> None:
    """Without samples every time is a dash, and nothing says None."""
    text = render_summary(sample_document("error", labels=()))

    assert "| 1,000 | 0 | 0 | 0% | 0 | \N{EN DASH} | \N{EN DASH} | \N{EN DASH} |" in text
    assert "None" not in text


def test_summary_to_the_letter(golden: Golden) -> None:
    """The whole summary of a failed and a passed scenario."""
    golden("summary.md", render_summary(sample_document("failed", scenarios=2)))


def _shape(text: str) -> list[int]:
    """Return how many cells each line of a table has."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [len(re.findall(r"(?<!\\)\|", line)) for line in lines]


def test_the_name_of_a_group_formats_nothing() -> None:
    """It is a user's text like any other."""
    document = sample_document()
    document.scenarios[0].group = "*peak* @all"

    summary = render_summary(document)

    assert "the others of group" in summary
    assert "*peak*" not in summary
    assert "@all" not in summary
