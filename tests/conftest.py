"""What the whole suite shares: the option --require-all and how hypothesis runs."""

from __future__ import annotations

import os

import hypothesis
import pytest

hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare --require-all, which .ci/run uses."""
    parser.addoption(
        "--require-all",
        action="store_true",
        help="Fail the tests that need a part which is not installed, instead of skipping them",
    )
