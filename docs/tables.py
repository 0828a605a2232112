"""Markdown as the pages here are written."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

WIDTH = 130


def code(text: str) -> str:
    """Return a text as code, nothing when it is empty."""
    return f"`{text}`" if text else ""


def prose(text: str) -> str:
    """Return a paragraph in lines."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table; a bar in a cell is written so that it stays in it."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("|".join(("", *map(_cell, line), "")) for line in lines)


def _cell(text: str) -> str:
    return f" {text} ".replace("|", r"\|") if text else " "
