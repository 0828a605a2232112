"""Distributed load testing as part of the ordinary pytest suite.

PYTEST_DONT_REWRITE: there is no assert here for a user to read, and pytest warns of modules that it
should rewrite and that were imported before it began, as the GitHub Action does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_metersphere.engine.failures import (
        ConnectionFailure,
        RequestError,
        RequestTimeout,
        StatusError,
    )
    from pytest_metersphere.engine.user import ThreadUser, VirtualUser
    from pytest_metersphere.scenario.fixtures import fixture

    __version__: str

__all__ = [
    "ConnectionFailure",
    "RequestError",
    "RequestTimeout",
    "StatusError",
    "ThreadUser",
    "VirtualUser",
    "__version__",
    "fixture",
]

_HOME = {
    "ConnectionFailure": "pytest_metersphere.engine.failures",
    "RequestError": "pytest_metersphere.engine.failures",
    "RequestTimeout": "pytest_metersphere.engine.failures",
    "StatusError": "pytest_metersphere.engine.failures",
    "ThreadUser": "pytest_metersphere.engine.user",
    "VirtualUser": "pytest_metersphere.engine.user",
    "fixture": "pytest_metersphere.scenario.fixtures",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that a node-controller never imports pytest."""
    if name == "__version__":
        from importlib.metadata import version

        return version("pytest-metersphere")
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
