"""Records of sessions, made by hand."""

from __future__ import annotations

from pathlib import Path

from pytest_metersphere.ci.record import Failure, Record
from pytest_metersphere.reports.document import Document, Verdict

ROOTDIR = Path("/repo/backend")


def failure(
    nodeid: str = "tests/test_shop.py::test_cart",
    *,
    phase: str = "call",
    verdict: Verdict | None = None,
    message: str = "assert 1 == 2",
    line: int | None = 7,
) -> Failure:
    """Return a test that did not pass."""
    file = nodeid.partition("::")[0]
    return Failure(nodeid=nodeid, phase=phase, verdict=verdict, file=file, line=line, message=message)


def record(*failures: Failure, document: Document | None = None, refused: str = "") -> Record:
    """Return the record of a session."""
    made = Record()
    made.rootdir = ROOTDIR
    made.failures = list(failures)
    made.document = document
    made.refused = refused
    return made
