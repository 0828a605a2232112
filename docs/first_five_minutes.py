"""Record first-five-minutes.md: what a new user types, with only the wheel in the folder, and what it prints.

`python -m docs.first_five_minutes` from the repository's root; it needs a package index for the dependencies,
and port 8000. What is typed are the README's own blocks.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.readme import ENGLISH, ROOT, Readme
from tests.wheel import built_wheel

_PAGE = ROOT / "docs" / "first-five-minutes.md"
_SHOWN = "~/load"
_PATIENCE = 20.0


def main() -> None:
    """Do it, and write the page."""
    blocks = [block.text for block in Readme(ENGLISH).blocks]
    install = _starting(blocks, "python -m pip wheel").splitlines()[1]
    server = _starting(blocks, "python -m http.server").strip()
    scenario = _starting(blocks, "import pytest\n")
    once, load = _starting(blocks, "pytest test_load.py").splitlines()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        _put_wheel(folder)
        user = _User(folder)
        parts = [
            user.types("python3 -m venv .venv && . .venv/bin/activate"),
            user.types(f"{install} --quiet"),
        ]
        (folder / "test_load.py").write_text(scenario)
        with user.serving(server):
            parts += [
                f"In another terminal runs `{server}`. Here is `test_load.py`:\n\n```python\n{scenario}```",
                user.types(once),
                user.types(load),
            ]
        parts.append(user.types("ls ms-report"))
    _PAGE.write_text("\n\n".join([_opening(user.seconds), *parts]) + "\n")


def _opening(seconds: float) -> str:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}"
    return (
        "# The first five minutes\n\n"
        "An empty folder, in it the wheel and nothing else; typed is what the [README](../README.md) says. "
        f"Recorded by `python -m docs.first_five_minutes` on {today} ({machine}); "
        f"the commands took {seconds:.0f} s together."
    )


class _User:
    """Types commands into a shell, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "VIRTUAL_"))
        }
        self._env = kept | {
            "COLUMNS": "120",
            "PATH": f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        self.seconds = 0.0

    def types(self, command: str) -> str:
        """Run a command and return it with what it prints, as Markdown; it must succeed."""
        begin = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", command.replace("python3", sys.executable)],
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.seconds += time.monotonic() - begin
        if done.returncode != 0:
            raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stdout}")
        return f"```console\n$ {command}\n{self._shown(done.stdout)}```"

    @contextlib.contextmanager
    def serving(self, command: str) -> Iterator[None]:
        """Run a server meanwhile."""
        with subprocess.Popen(
            command.split(),
            cwd=self._folder,
            env=self._env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as server:
            try:
                _wait_for(server)
                yield
            finally:
                server.terminate()

    def _shown(self, text: str) -> str:
        text = re.sub(r"\x1b\[[0-9;]*m", "", text).replace(str(self._folder), _SHOWN)
        return f"{text.strip()}\n" if text.strip() else ""


def _wait_for(server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen("http://127.0.0.1:8000/", timeout=1):
            return
    raise SystemExit("the server does not answer on port 8000")


def _put_wheel(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as home:
        wheel = built_wheel(Path(home))
        shutil.copy(wheel, folder)


def _starting(blocks: list[str], start: str) -> str:
    (found,) = [block for block in blocks if block.startswith(start)]
    return found


if __name__ == "__main__":
    main()
