"""The messages of the preflight, kept in docs as two tables: cause by cause, to the letter."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from pytest_metersphere.dist.kafka.preflight import SENTENCE
from pytest_metersphere.dist.wire import Check

Table = Literal["Kafka", "Nodes"]
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "preflight.md"
LIMIT = 10.0
"""Seconds within which each fault is found."""

_HEAD = """\
# What the preflight says

The cause, and what pytest says before it ends with exit code 4, nothing having been started. Both tables are
written by the tests: `tests/preflight`, `tests/kafka`, `tests/network` and `tests/docker` provoke each of the
messages by its real cause in a whole pytest session, and compare it with its row (`UPDATE_DOCS=1` writes it
anew).
"""
_HEADS: dict[Table, str] = {
    "Kafka": f'Here the broker is always `kafka:9092`. Every message goes on with "({SENTENCE})".',
    "Nodes": "Here the node is always `n1`, at `10.0.0.11:8082`, and Kafka, where it is used, `kafka:9092`.",
}
_PLACES: dict[Table, str] = {"Kafka": "kafka:9092", "Nodes": "10.0.0.11:8082"}
_OURS = r"(?:127\.0\.0\.\d+|198\.1[89]\.\d+\.\d+)"


def failure(checks: Sequence[Check]) -> Check:
    """Return the check that does not hold: exactly one, the last, found within ten seconds."""
    assert [check.ok for check in checks] == [True] * (len(checks) - 1) + [False], checks
    assert sum(check.seconds for check in checks) < LIMIT
    return checks[-1]


def assert_told(table: Table, cause: str, message: str) -> None:
    """Compare a message with the table's for this cause; UPDATE_DOCS=1 in the environment writes it there."""
    shown = _shown(table, message)
    tables = rows()
    if os.environ.get("UPDATE_DOCS"):
        tables[table][cause] = shown
        DOCUMENT.write_text(_document(tables), encoding="utf-8")
    assert tables[table].get(cause) == shown, f"{DOCUMENT.name} says something else about {cause!r}"


def rows() -> dict[Table, dict[str, str]]:
    """Return the messages of the document by table and cause."""
    tables: dict[Table, dict[str, str]] = {name: {} for name in get_args(Table)}
    text = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    for name, found in tables.items():
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        lines = [line for line in section.splitlines() if line.startswith("| ")]
        cells = [re.split(r"(?<!\\) \| ", line[2:-2], maxsplit=1) for line in lines]
        found.update((cell[0], cell[1]) for cell in cells[2:])
    return tables


def _document(tables: dict[Table, dict[str, str]]) -> str:
    return _HEAD + "".join(_section(name, found) for name, found in tables.items())


def _section(name: Table, found: dict[str, str]) -> str:
    lines = [f"| {cause} | {message} |\n" for cause, message in sorted(found.items())]
    return f"\n## {name}\n\n{_HEADS[name]}\n\n| cause | message |\n| --- | --- |\n{''.join(lines)}"


def _shown(table: Table, message: str) -> str:
    """Return a message without what differs from one time, or one machine, to the next."""
    ending = f" ({SENTENCE})" if table == "Kafka" else ""
    assert message.endswith(ending)
    text = re.sub(rf"{_OURS}:\d+", _PLACES[table], message.removesuffix(ending))
    text = re.sub(_OURS, _PLACES[table].partition(":")[0], text)
    text = text.replace("Temporary failure in name resolution", "Name or service not known")
    return re.sub(r"test-[0-9a-f]{12}", "ms-load", text).replace("|", "\\|")
