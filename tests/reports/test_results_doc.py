"""docs/results.md describes the schema as it is."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from pytest_metersphere.reports import document

_TEXT = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
_STRUCTS = {
    name: struct
    for name, struct in vars(document).items()
    if isinstance(struct, type) and issubclass(struct, msgspec.Struct) and struct is not msgspec.Struct
}


def _described(title: str) -> list[str]:
    """Return the fields in the table below a heading."""
    section = _TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE)
    return [field for cell in cells for field in re.findall(r"`(\w+)`", cell)]


@pytest.mark.parametrize("name", _STRUCTS)
def test_every_field_is_described_under_its_type(name: str) -> None:
    """Each type has a section whose table names its fields, all of them and no others."""
    assert sorted(_described(name)) == sorted(_STRUCTS[name].__struct_fields__)


def test_every_link_leads_to_a_section() -> None:
    """Types are linked to sections that exist, and no section is about anything else."""
    sections = re.findall(r"^## (\w+)$", _TEXT, flags=re.MULTILINE)

    assert set(sections) == set(_STRUCTS)
    assert set(re.findall(r"\(#(\w+)\)", _TEXT)) == {name.lower() for name in _STRUCTS} - {"document"}


def test_it_names_the_schema() -> None:
    """The schema that the page describes is the one that is written."""
    assert f"`{document.SCHEMA}`" in _TEXT
