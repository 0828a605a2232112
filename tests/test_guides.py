"""The pages for users quote what is really said, and name and link only what is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_metersphere.dist.kafka.preflight import SENTENCE

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
TEXT = PAGES["troubleshooting.md"]
QUOTES = re.findall(r"^> (.+)$", TEXT, flags=re.MULTILINE)


def said(node: ast.AST) -> str:
    """Return a text of the code, with … for what is put into it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(said, node.values))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "…"


def texts() -> Iterator[str]:
    """Yield every text of the package, whole."""
    for path in (ROOT / "pytest_metersphere").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr | ast.Constant):
                yield said(node)


SAID = "\n".join([PAGES["preflight.md"].replace("`", ""), *texts()])


def unsaid(quote: str) -> list[str]:
    """Return the pieces of a quotation, between its …, that nobody says: neither code nor preflight.md."""
    pieces = [piece.strip() for piece in quote.replace("`", "").split("…")]
    known = SAID.replace("`", "")
    return [piece for piece in pieces if len(piece) > 2 and piece not in known]


def test_there_are_quotations() -> None:
    """Each of them says something: two words in a row at least."""
    assert len(QUOTES) >= 15
    assert [quote for quote in QUOTES if not re.search(r"\w+ \w+", quote)] == []


@pytest.mark.parametrize("quote", QUOTES)
def test_a_quotation_is_what_the_code_says(quote: str) -> None:
    """Word for word, in the preflight's table or in a text of the code."""
    assert unsaid(quote) == []


@pytest.mark.parametrize(
    "quote", ["Kafka: kafka:9092: the connection was declined", "node …: the moon is … full of cheese"]
)
def test_an_invented_quotation_is_found(quote: str) -> None:
    """Whatever is said nowhere."""
    assert unsaid(quote) != []


def test_the_sentence_of_metersphere_is_found() -> None:
    """As a heading, so that whoever searches for it comes here."""
    assert f"\n### {SENTENCE}\n" in TEXT


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_between_the_pages_lead_somewhere(page: str) -> None:
    """To a file that is there, and to a heading of it."""
    for target, anchor in re.findall(r"\]\(([\w./-]*)#?([\w-]*)\)", PAGES[page]):
        path = ROOT / "docs" / target if target else ROOT / "docs" / page
        assert path.exists(), f"{page}: {target}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{page}: {target}#{anchor}"


@pytest.mark.parametrize("page", sorted(PAGES))
def test_options_and_variables_are_there(page: str) -> None:
    """Each one that a page names is in docs/options.md."""
    names = re.findall(r"--ms-[a-z]+(?:-[a-z]+)*|PYTEST_MS_[A-Z_]*[A-Z]|\bms_[a-z_]*[a-z]", PAGES[page])

    assert sorted({name for name in names if name not in PAGES["options.md"]}) == []


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
