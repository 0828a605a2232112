"""What docstrings in Google's style say."""

from __future__ import annotations

import inspect
from typing import Any


def capital(text: str) -> str:
    """Return a text with a capital letter in front."""
    return text[:1].upper() + text[1:]


def first_paragraph(member: Any) -> str:
    """Return the first paragraph of a docstring in one line, without its full stop."""
    return " ".join((inspect.getdoc(member) or "").split("\n\n")[0].split()).rstrip(".")


def described(member: Any, section: str) -> list[tuple[str, str]]:
    """Return names and texts of a section, `Args` or `Attributes`, of the member's own docstring."""
    if inspect.isclass(member) and not vars(member).get("__doc__"):
        return []
    _, _, body = (inspect.getdoc(member) or "").partition(f"{section}:\n")
    rows: list[tuple[str, str]] = []
    for line in body.split("\n\n")[0].splitlines():
        name, colon, text = line.strip().partition(": ")
        if colon and line.startswith("    ") and not line.startswith("     ") and name.isidentifier():
            rows.append((name, text))
        elif rows:
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {line.strip()}")
    return [(name, capital(text).rstrip(".")) for name, text in rows]
