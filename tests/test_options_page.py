"""docs/options.md is what the code says, word for word."""

from __future__ import annotations

import pytest

from docs import generate
from pytest_metersphere.scenario import fixtures, keywords
from pytest_metersphere.thresholds import grammar


def test_the_page_is_what_the_code_says() -> None:
    """Whoever changes an option, a mark, a docstring or a command writes the page anew."""
    written = generate.PAGE.read_text(encoding="utf-8")

    assert written == generate.page(), "docs/options.md is out of date: run `make docs`, and commit it"


def test_everything_that_can_be_said_is_described() -> None:
    """No keyword, metric or scope without a text, and no text of one that is gone."""
    assert set(keywords.DESCRIPTIONS) == set(keywords.KEYWORDS)
    assert set(grammar.DESCRIPTIONS) == {"p95", *grammar._UNITS}
    assert set(fixtures.DESCRIPTIONS) == {"user", "worker"}


def test_a_new_keyword_without_a_text_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names it, and where to describe it."""
    monkeypatch.setattr(keywords, "KEYWORDS", (*keywords.KEYWORDS, "weight"))
    monkeypatch.setitem(keywords.EXAMPLES, "weight", "weight=3")

    with pytest.raises(LookupError, match="nothing is said of 'weight': describe it in DESCRIPTIONS"):
        generate.page()


def test_a_new_keyword_comes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script need not know it."""
    monkeypatch.setattr(keywords, "KEYWORDS", (*keywords.KEYWORDS, "weight"))
    monkeypatch.setitem(keywords.EXAMPLES, "weight", "weight=3")
    monkeypatch.setitem(keywords.DESCRIPTIONS, "weight", "How heavy")

    assert "\n| `weight` | `weight=3` | How heavy |\n" in generate.page()
