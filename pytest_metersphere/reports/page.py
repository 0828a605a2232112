"""A page of GitHub Markdown that text from elsewhere cannot deform and that never grows too large."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from pytest_metersphere.reports.text import one_line, visible

MAX_SIZE = 1024 * 1024
"""GitHub refuses a step summary of more bytes."""

_RESERVE = 16 * 1024
_FENCE = re.compile(r"`{3,}")
_MAX_CUTS = 20
_SPECIAL = re.compile(
    r"[\\`*~\[\]|#$]"  # what formats anywhere
    r"|(?<![^\W_])_|_(?![^\W_])"  # and what formats but within a word
    r"|:(?=\S)|(?<=www)\."  # what makes links and emoji
    r"|^[-+=]|^\d(?=\d*[.)])",  # what makes lists and headings
    re.IGNORECASE,
)


class Page:
    """Lines that never grow above so many bytes; what does not fit is named at the end."""

    def __init__(self, max_size: int = MAX_SIZE) -> None:
        self._lines: list[str] = []
        self._room = max_size - min(_RESERVE, max_size // 4)
        self._cuts: list[str] = []

    def add(self, *lines: str) -> bool:
        """Add lines that belong together, and return whether there was room for them."""
        needed = sum(len(line.encode()) + 1 for line in lines)
        if needed > self._room:
            self._room = 0
            return False
        self._room -= needed
        self._lines.extend(lines)
        return True

    def cut(self, what: str) -> None:
        """Note what was left out, in at most some hundred characters."""
        self._cuts.append(what)

    def fold(self, title: str, where: str, head: Sequence[str], rows: Sequence[str]) -> None:
        """Add a folded section; rows for which there is no room are left out and counted."""
        if not rows:
            return
        closing = ["", "</details>", ""]
        opening = [f"<details><summary>{title}</summary>", "", *head]
        shown = 0
        if self.add(*opening, *closing):
            del self._lines[-len(closing) :]
            shown = next((i for i, row in enumerate(rows) if not self.add(row)), len(rows))
            self._lines.extend(closing)
        if shown < len(rows):
            self.cut(f"{len(rows) - shown} of {len(rows)} lines of {title} of {where}")

    @property
    def empty(self) -> bool:
        """Return whether nothing is on the page."""
        return not self._lines

    def text(self) -> str:
        """Return the page, with a note about what was cut."""
        note = _cut_note(self._cuts) if self._cuts else []
        return "\n".join([*self._lines, *note]).rstrip("\n") + "\n"


def escape(text: str) -> str:
    """Return text on one line that Markdown shows as it is, also in the cell of a table.

    What would format becomes a character reference; after an at sign stands a space of no width, so
    that nobody is mentioned.
    """
    line = html.escape(one_line(text), quote=False)
    references = _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", line)
    return references.replace("@", "@&#8203;")


def code(text: str) -> str:
    """Return text as code, also in the cell of a table."""
    line = one_line(text)
    if not line:
        return "(empty)"
    return f"<code>{escape(line)}</code>" if re.search(r"[`|\\]", line) else f"`{line}`"


def fenced(text: str) -> list[str]:
    """Return the lines of a block of code that shows the text as it is."""
    shown = visible(text)
    fence = "`" * max([3, *(len(run) + 1 for run in _FENCE.findall(shown))])
    return [f"{fence}text", *shown.split("\n"), fence]


def table_head(names: Iterable[str], texts: Sequence[int] = ()) -> list[str]:
    """Return the head of a table; columns are for numbers, but those in `texts`."""
    cells = list(names)
    return [row(cells), row(["---" if i in texts else "---:" for i in range(len(cells))])]


def row(cells: Iterable[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


def _cut_note(cuts: Sequence[str]) -> list[str]:
    named = "; ".join(cuts[:_MAX_CUTS])
    more = f"; and {len(cuts) - _MAX_CUTS} more parts" if len(cuts) > _MAX_CUTS else ""
    return ["", f"**Cut to stay below 1 MiB:** {named}{more}. All of it is in report.html and results.json."]
