"""The project on which sessions are tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.preflight.trial import Trial


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """Return a project that has not been run."""
    return Trial(tmp_path)
