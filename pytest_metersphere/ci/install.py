"""Install the plugin from the Action's own files, and what else the tests need; a script on its own.

The Action runs this file before anything of ours is installed, so it imports the standard library alone.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
import sysconfig

_PACKAGE = "pytest_metersphere"
_NONE = "none"
_OLDEST = (3, 11)


def main() -> int:
    """Install as the variable PYTEST_MS_ACTION_INSTALL says, and return pip's exit code."""
    text = os.environ.get("PYTEST_MS_ACTION_INSTALL", "").strip()
    source = os.environ.get("GITHUB_ACTION_PATH", "").strip()
    mistake = _unfit()
    if mistake:
        return _refuse(mistake)
    if text == _NONE:
        return 0 if importlib.util.find_spec(_PACKAGE) else _refuse(_missing())
    try:
        more = shlex.split(text)
    except ValueError as error:
        return _refuse(
            f"input install: {text!r} cannot be split into words ({str(error).lower()}); close the quote"
        )
    if _is_managed():
        return _refuse(_managed())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
    return subprocess.run([*pip, source or ".", *more], check=False).returncode


def _unfit() -> str:
    if sys.version_info < _OLDEST:
        return (
            f"Python {_version()} is too old, at least 3.11 is needed; "
            f'give the input python-version, for example python-version: "3.13"'
        )
    return ""


def _is_managed() -> bool:
    """Return whether pip may not install into this Python (PEP 668)."""
    if sys.prefix != sys.base_prefix:
        return False
    return os.path.exists(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED"))


def _managed() -> str:
    return (
        f"{sys.executable} belongs to the operating system, and pip may not install into it; "
        'give the input python-version, for example python-version: "3.13", or set Python up in a step before'
    )


def _missing() -> str:
    return (
        f"input install is none, but {sys.executable} does not have pytest-metersphere; "
        "leave install out, or install it in a step before"
    )


def _version() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def _refuse(message: str) -> int:
    escaped = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    sys.stdout.write(f"::error title=pytest-metersphere::{escaped}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
