"""Rows as tables and sentences as paragraphs, for terminals of any width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from pytest_metersphere.reports.text import clipped, one_line

NOTHING = "-"
"""What stands in a cell of which nothing is known."""

_NARROWEST = 12


def table(rows: Sequence[dict[str, str]], width: int | None, spare: Sequence[str] = ()) -> Iterator[str]:
    """Yield rows under their keys, numbers to the right.

    What is too wide loses its spare columns, as many as need be, and then the end of the first column.

    Args:
        rows: at least one, all with the same keys.
        width: columns of the terminal, None when there is none.
        spare: columns that can be spared, in this order.
    """
    keys = list(rows[0])
    sizes = {key: max(len(key), *(len(row[key]) for row in rows)) for key in keys}
    if width is not None:
        for key in spare:
            if key in keys and _line_width(keys, sizes) > width:
                keys.remove(key)
        excess = max(0, _line_width(keys, sizes) - width)
        sizes[keys[0]] = max(min(_NARROWEST, sizes[keys[0]]), sizes[keys[0]] - excess)
    to_right = {key for key in keys if all(_is_number(row[key]) for row in rows)}
    for line in [{key: key for key in keys}, *rows]:
        placed = [
            line[key].rjust(sizes[key])
            if key in to_right
            else clipped(line[key], sizes[key]).ljust(sizes[key])
            for key in keys
        ]
        yield "  ".join(placed).rstrip()


def _line_width(keys: Sequence[str], sizes: Mapping[str, int]) -> int:
    return sum(sizes[key] for key in keys) + 2 * (len(keys) - 1)


def known(rows: Sequence[dict[str, str]], keys: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows without those of these columns in which nothing stands."""
    empty = {key for key in keys if all(row[key] == NOTHING for row in rows)}
    return [{key: cell for key, cell in row.items() if key not in empty} for row in rows]


def notes(told: Sequence[tuple[str, str]], width: int | None) -> Iterator[str]:
    """Yield what is to be said of some subjects, a paragraph for each of which there is something."""
    for subject, detail in told:
        if detail:
            yield from wrapped(one_line(f"{subject}: {detail}"), width, "  ", "    ")


def wrapped(text: str, width: int | None, first: str = "", rest: str = "  ") -> Iterator[str]:
    """Yield a text in lines that fit, the first with one beginning and the rest with another."""
    if width is None:
        yield first + text
        return
    yield from textwrap.wrap(
        text,
        max(width, len(rest) + 20),
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def text_cell(value: str | None) -> str:
    """Return a text of somebody else's as a cell."""
    return NOTHING if value is None else clipped(one_line(value), 20)


def number_cell(value: int | None) -> str:
    """Return a number as a cell."""
    return NOTHING if value is None else str(value)


def _is_number(cell: str) -> bool:
    return cell == NOTHING or cell.isdecimal() or cell.startswith(("+", "-"))
