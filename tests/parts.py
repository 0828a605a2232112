"""The parts outside Python that some tests need."""

from __future__ import annotations

import shutil
from typing import NoReturn

import pytest


def lack(config: pytest.Config, what: str) -> NoReturn:
    """Skip the test, which needs what is not there; under --require-all fail it."""
    reason = f"needs {what}"
    if config.getoption("--require-all", default=False):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def require(config: pytest.Config, *binaries: str, hint: str) -> str:
    """Return the path of the first of the programs that is installed.

    Without any of them the test is skipped with the hint how to install one; under --require-all it
    fails.
    """
    for binary in binaries:
        path = shutil.which(binary)
        if path:
            return path
    lack(config, f"{' or '.join(binaries)}: {hint}")
