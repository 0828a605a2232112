"""A terminal's screen, as far as pytest uses one, and a picture of it as SVG."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple
from xml.sax.saxutils import escape

FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
SIZE = 14
WIDTH, HEIGHT = 8.4, 19
MARGIN, BAR = 18, 34
INDENT = 8
BACK, TEXT = "#14181f", "#d5dae1"
COLOURS = {
    31: "#ff7b72",
    32: "#5fd068",
    33: "#e3b341",
    34: "#79b8ff",
    35: "#d2a8ff",
    36: "#56d4dd",
    90: "#8b949e",
}
LIGHTS = ("#ff5f57", "#febc2e", "#28c840")

_PIECE = re.compile(r"\x1b\[([0-9;]*)(m)|\x1b\[[0-9;?]*[A-Za-z]|(\r)|(\n)|([^\x1b\r\n]+)")

_WORDS = re.compile(r"\S+(?: \S+)*")  # a row of blanks would be shown as one


class Style(NamedTuple):
    """How a character looks."""

    colour: str = TEXT
    bold: bool = False


class Cell(NamedTuple):
    """A character and how it looks."""

    char: str
    style: Style


class Screen:
    """Lines of characters; understands carriage returns, new lines, colours and bold type."""

    def __init__(self, columns: int) -> None:
        """Make an empty screen that breaks lines after so many columns."""
        self._columns = columns
        self._lines: list[list[Cell]] = [[]]
        self._column = 0
        self._style = Style()

    def feed(self, text: str) -> None:
        """Take what a program wrote."""
        for numbers, looks, back, new, plain in _PIECE.findall(text):
            if back:
                self._column = 0
            elif new:
                self._lines.append([])
                self._column = 0
            elif plain:
                self._write(plain)
            elif looks:
                self._style = _styled(self._style, numbers)

    @property
    def lines(self) -> list[list[Cell]]:
        """Return the lines as they are to be seen, without blanks at their ends."""
        return [_stripped(line) for line in self._lines]

    def _write(self, text: str) -> None:
        for char in text:
            if self._column == self._columns:
                self._break()
            line = self._lines[-1]
            line.extend([Cell(" ", Style())] * (self._column + 1 - len(line)))
            line[self._column] = Cell(char, self._style)
            self._column += 1

    def _break(self) -> None:
        """Go on in another line, with the whole of the word that does not fit."""
        line = self._lines[-1]
        blanks = [place for place, cell in enumerate(line) if cell.char == " "]
        begin = blanks[-1] + 1 if blanks else len(line)
        indent = [Cell(" ", Style())] * INDENT
        self._lines[-1], rest = line[:begin], [*indent, *line[begin:]]
        self._lines.append(rest)
        self._column = len(rest)


def svg(lines: list[list[Cell]], columns: int, title: str) -> str:
    """Return a window that shows the lines."""
    wide = round(columns * WIDTH + 2 * MARGIN)
    high = BAR + len(lines) * HEIGHT + MARGIN
    lights = "".join(
        f'<circle cx="{20 + 20 * number}" cy="17" r="6" fill="{colour}"/>'
        for number, colour in enumerate(LIGHTS)
    )
    rows = "\n".join(_row(line, BAR + (number + 1) * HEIGHT - 5) for number, line in enumerate(lines) if line)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
        f' role="img" aria-label="{escape(title)}">\n'
        f'<rect width="{wide}" height="{high}" rx="9" fill="{BACK}"/>\n{lights}\n'
        f'<g font-family="{FONT}" font-size="{SIZE}" xml:space="preserve">\n{rows}\n</g>\n</svg>\n'
    )


def _row(line: list[Cell], y: int) -> str:
    return "".join(_runs(line, y))


def _runs(line: list[Cell], y: int) -> Iterator[str]:
    """Yield the pieces of a line that look alike, each at its place: fonts differ in their widths."""
    column = 0
    for style, cells in itertools.groupby(line, key=lambda cell: cell.style):
        text = "".join(cell.char for cell in cells)
        weight = ' font-weight="bold"' if style.bold else ""
        for piece in _WORDS.finditer(text):
            yield (
                f'<text x="{MARGIN + (column + piece.start()) * WIDTH:.1f}" y="{y}" fill="{style.colour}"'
                f'{weight} textLength="{len(piece[0]) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs">'
                f"{escape(piece[0])}</text>"
            )
        column += len(text)


def _styled(style: Style, numbers: str) -> Style:
    for number in map(int, filter(None, (numbers or "0").split(";"))):
        if number == 0:
            style = Style()
        elif number == 1:
            style = style._replace(bold=True)
        else:
            style = style._replace(colour=COLOURS.get(number, style.colour))
    return style


def _stripped(line: list[Cell]) -> list[Cell]:
    length = len("".join(cell.char for cell in line).rstrip())
    return line[:length]
