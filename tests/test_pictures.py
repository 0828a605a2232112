"""The pictures of the README, and the screen that the one of the terminal is drawn from."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from docs.pictures.screen import Screen, Style, svg

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"


def seen(text: str, columns: int = 20) -> list[str]:
    """Return the lines that a screen shows of a text."""
    screen = Screen(columns)
    screen.feed(text)
    return ["".join(cell.char for cell in line) for line in screen.lines]


def test_a_carriage_return_writes_over_the_line() -> None:
    """As pytest's live line does, which is wiped out at its end."""
    assert seen("1 s of 3\r2 s of 3\r        \r.\nnext") == [".", "next"]


def test_a_line_that_is_too_long_goes_on_with_a_whole_word() -> None:
    """Set in, so that it is seen to belong to the line above."""
    assert seen("twelve letters and seven") == ["twelve letters and", "        seven"]
    assert seen("a" * 25) == ["a" * 20, f"        {'a' * 5}"]


def test_colours_and_weight_last_until_they_are_taken_back() -> None:
    """Sequences for anything else are passed over."""
    screen = Screen(20)
    screen.feed("a\x1b[32;1mb\x1b[K\x1b[?25lc\x1b[0md")
    (line,) = screen.lines

    assert [cell.char for cell in line] == ["a", "b", "c", "d"]
    assert line[1].style == line[2].style == Style("#5fd068", bold=True)
    assert line[0].style == line[3].style == Style()


def test_the_picture_holds_every_word_at_its_column() -> None:
    """As text, which can be searched, and never as markup."""
    screen = Screen(40)
    screen.feed("<script>  x & y\n\n\x1b[31mred")
    root = ET.fromstring(svg(screen.lines, 40, "a <title>"))  # noqa: S314 - our own
    texts = [each for each in root.iter() if each.tag.endswith("text")]

    assert [each.text for each in texts] == ["<script>", "x & y", "red"]
    assert [float(each.get("x") or 0) for each in texts] == [18.0, 18.0 + 10 * 8.4, 18.0]
    assert texts[2].get("fill") == "#ff7b72"


@pytest.mark.parametrize("name", ["terminal.svg", "report.png"])
def test_the_pictures_are_there_and_small(name: str) -> None:
    """Whoever opens the README waits for them."""
    assert 1000 < (PICTURES / name).stat().st_size < 200_000


def test_the_picture_of_the_terminal_shows_a_run() -> None:
    """That passed, without a script and without the place where it was made."""
    text = (PICTURES / "terminal.svg").read_text(encoding="utf-8")
    shown = "".join(ET.fromstring(text).itertext())  # noqa: S314 - our own

    assert "pytest --ms-pool=local=400+400+200" in shown
    assert "3 passed" in shown
    assert "test_shop.py::test_checkout: users 20" in shown
    assert re.findall(r"<script|href=|/tmp/", text) == []


def test_the_picture_of_the_report_is_a_png() -> None:
    """Wide enough to be read."""
    head = (PICTURES / "report.png").read_bytes()[:24]

    assert head.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">I", head[16:20])[0] >= 1000
