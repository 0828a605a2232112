"""Golden files: what a report must look like, to the letter."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

_GOLDEN = Path(__file__).parent / "golden"

Golden = Callable[[str, str], None]


@pytest.fixture
def golden() -> Golden:
    """Compare a text with the golden file of a name; UPDATE_GOLDEN=1 in the environment writes it anew."""
    return _compare


def _compare(name: str, text: str) -> None:
    path = _GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path.name} is missing: run with UPDATE_GOLDEN=1 and look at what it writes"
    assert text == path.read_text(encoding="utf-8")
