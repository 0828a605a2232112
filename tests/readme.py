"""The two READMEs, taken apart: blocks of code, headings, tables, links."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENGLISH = ROOT / "README.md"
CHINESE = ROOT / "README.zh-CN.md"
_BLOCK = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: what stands behind the fence.
        text: what is in it.
    """

    language: str
    text: str


@dataclasses.dataclass(frozen=True)
class Readme:
    """One of the two."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def blocks(self) -> list[Block]:
        return [Block(*found.groups()) for found in _BLOCK.finditer(self.text)]

    @property
    def prose(self) -> str:
        return _BLOCK.sub("", self.text)

    @property
    def levels(self) -> list[int]:
        """Return the levels of the headings."""
        return [len(found[1]) for found in re.finditer(r"^(#+) ", self.prose, re.MULTILINE)]

    @property
    def tables(self) -> list[list[list[str]]]:
        """Return the cells of the tables, heads left out."""
        rows = re.compile(r"(?:^\|.*\|\n)+", re.MULTILINE)
        return [
            [re.split(r"(?<!\\)\|", line)[1:-1] for line in found[0].splitlines()[2:]]
            for found in rows.finditer(self.prose + "\n")
        ]

    @property
    def links(self) -> set[str]:
        """Return where links and pictures lead."""
        return set(re.findall(r"\]\(([^)\s]+)\)", self.prose))

    def names(self, *words: str) -> set[str]:
        """Return what the first columns name in the table whose first column has all the words."""
        tables = [{name for row in table for name in _coded(row[0])} for table in self.tables]
        (found,) = [names for names in tables if set(words) <= names]
        return found


def _coded(text: str) -> list[str]:
    return [part.replace("\\|", "|") for part in re.findall(r"`([^`]+)`", text)]
