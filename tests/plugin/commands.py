"""The command `pytest-metersphere` as users type it, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.plugin.projects import Done, environment

LIMIT = 60.0


def run_command(
    *args: str, folder: Path, env: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> Done:
    """Run it in a folder, wait for its end, and return what came of it; it never shows a traceback.

    `prefix` stands before the command, to run it on another machine for example.
    """
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "pytest_metersphere", *args],
        cwd=folder,
        env=environment() | dict(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Done(folder, done.returncode, done.stdout, done.stderr)
