"""The messages of the preflight, kept in docs as a table: cause by cause, to the letter."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from pytest_metersphere.dist.kafka_preflight import SENTENCE
from pytest_metersphere.dist.wire import Check

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "kafka-preflight.md"
_HEAD = f"""\
# What the preflight says about Kafka

The cause, and what pytest says before it ends with exit code 4, nothing having been started. Every message
goes on with "({SENTENCE})". The table is written by `tests/kafka`, where each message is provoked by its
cause (`UPDATE_DOCS=1` writes it anew); here the broker is always `kafka:9092`.

| cause | message |
| --- | --- |
"""


def failure(checks: Sequence[Check]) -> Check:
    """Return the check that does not hold: exactly one, the last, found within ten seconds."""
    assert [check.ok for check in checks] == [True] * (len(checks) - 1) + [False], checks
    assert sum(check.seconds for check in checks) < 10
    return checks[-1]


def assert_told(cause: str, message: str) -> None:
    """Compare a message with the table's for this cause; UPDATE_DOCS=1 in the environment writes it there."""
    shown = _shown(message)
    rows = _rows()
    if os.environ.get("UPDATE_DOCS"):
        rows[cause] = shown
        lines = [f"| {cause} | {text} |\n" for cause, text in sorted(rows.items())]
        DOCUMENT.write_text(_HEAD + "".join(lines), encoding="utf-8")
    assert rows.get(cause) == shown, f"{DOCUMENT.name} says something else about {cause!r}"


def _shown(message: str) -> str:
    """Return a message without what differs from one time to the next."""
    ending = f" ({SENTENCE})"
    assert message.endswith(ending)
    text = re.sub(r"127\.0\.0\.1:\d+", "kafka:9092", message.removesuffix(ending))
    return re.sub(r"test-[0-9a-f]{12}", "ms-load", text).replace("|", "\\|")


def _rows() -> dict[str, str]:
    if not DOCUMENT.exists():
        return {}
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    cells = [re.split(r"(?<!\\) \| ", line[2:-2], maxsplit=1) for line in lines if line.startswith("| ")]
    return {cell[0]: cell[1] for cell in cells[2:]}
