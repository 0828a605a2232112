"""The document of the preflight's messages holds what the tests provoke, and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.preflight.messages import rows

TESTS = Path(__file__).resolve().parents[1]
FOLDERS = ("docker", "kafka", "network", "preflight")


def test_no_message_stays_whose_cause_nobody_provokes() -> None:
    """Each cause of the tables stands in a test."""
    sources = [file.read_text() for folder in FOLDERS for file in (TESTS / folder).glob("test_*.py")]
    causes = [cause for table in rows().values() for cause in table]

    assert causes
    assert [cause for cause in causes if not any(f'"{cause}"' in source for source in sources)] == []
