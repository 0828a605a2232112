"""docs/status-and-doctor.md describes what --json prints as it is, and every state by its word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from pytest_metersphere.dist.kafka.dialling import Kind
from pytest_metersphere.inspection import values

_TEXT = (Path(__file__).parents[2] / "docs" / "status-and-doctor.md").read_text(encoding="utf-8")
_STRUCTS = {
    name: struct
    for name, struct in vars(values).items()
    if isinstance(struct, type) and issubclass(struct, msgspec.Struct) and struct is not msgspec.Struct
}


def _first_cells(text: str) -> list[str]:
    """Return what stands in backticks in the first column of a text's tables."""
    cells = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def _states(title: str) -> list[str]:
    """Return the states of the table with this heading."""
    return _first_cells(_TEXT.split(f"\n| {title} | |\n")[1].split("\n\n")[0])


@pytest.mark.parametrize("name", _STRUCTS)
def test_every_field_is_described_under_its_type(name: str) -> None:
    """Each type has a section whose table names its fields, all of them and no others."""
    section = _TEXT.split(f"\n### {name}\n")[1].split("\n### ")[0]

    assert sorted(_first_cells(section)) == sorted(_STRUCTS[name].__struct_fields__)


def test_every_link_leads_to_a_section() -> None:
    """Types are linked to sections that exist."""
    linked = set(re.findall(r"\(#(\w+)\)", _TEXT))

    assert linked == {name.lower() for name in _STRUCTS} - {"statusreport", "doctorreport"}


def test_every_state_is_described() -> None:
    """Of nodes, of Kafka's addresses and of its topic."""
    assert sorted(_states("state of a node")) == sorted(get_args(values.NodeState))
    assert sorted(_states("state in Kafka")) == sorted([*get_args(Kind), "up", "no brokers"])
    assert sorted(_states("state of the topic")) == sorted(get_args(values.TopicState))


def test_it_names_the_schemas() -> None:
    """The schemas that the page describes are those that are printed."""
    assert f"`{values.STATUS_SCHEMA}`" in _TEXT
    assert f"`{values.DOCTOR_SCHEMA}`" in _TEXT
