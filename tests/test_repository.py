"""The repository keeps what its settings promise, where tools' defaults would break it in silence."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pytest_metersphere

_ROOT = Path(__file__).resolve().parents[1]


def _output(*command: str | Path) -> str:
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True).stdout


def _tracked() -> list[Path]:
    return [_ROOT / name for name in _output("git", "ls-files", "-z").split("\0") if name]


def _source_files() -> list[Path]:
    return sorted((_ROOT / "pytest_metersphere").rglob("*.py"))


def test_ruff_reads_every_module_of_the_package() -> None:
    """No module is left out of linting, those in the folder called dist included."""
    listed = {
        Path(line) for line in _output(sys.executable, "-m", "ruff", "check", "--show-files").splitlines()
    }

    assert set(_source_files()) <= listed
    assert _ROOT / "pytest_metersphere" / "dist" / "wire.py" in listed


@pytest.mark.parametrize("folder", ["pytest_metersphere/dist", "templates", "tests/distributed"])
def test_git_ignores_no_source(folder: str) -> None:
    """A new file in a folder of sources is offered for committing."""
    done = subprocess.run(["git", "check-ignore", f"{folder}/new_module.py"], cwd=_ROOT, check=False)

    assert done.returncode == 1


@pytest.mark.parametrize(
    "leftover", ["dist/x.whl", "build/lib/x.py", "ms-report/report.html", ".venv/bin/python"]
)
def test_git_ignores_what_builds_and_runs_leave(leftover: str) -> None:
    """What a build, a run or a virtual environment leaves behind is not offered for committing."""
    done = subprocess.run(["git", "check-ignore", "--quiet", leftover], cwd=_ROOT, check=False)

    assert done.returncode == 0


def test_no_tracked_file_names_a_place_of_one_machine() -> None:
    """No file holds the path of this checkout, of this interpreter or of anybody's home."""
    places = [str(place) for place in (_ROOT, Path(sys.prefix), Path.home()) if len(place.parts) > 1]
    pattern = re.compile(rf"(?<![\w./])(?:{'|'.join(map(re.escape, places))})(?![\w-])|/(?:home|Users)/\w")
    named = {
        str(path.relative_to(_ROOT)): found[0]
        for path in _tracked()
        if path.is_file() and (found := pattern.search(path.read_text(encoding="utf-8", errors="replace")))
    }

    assert named == {}


def test_there_is_one_version() -> None:
    """pyproject.toml, the installed distribution and the package agree about the version."""
    declared = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert importlib.metadata.version("pytest-metersphere") == declared
    assert pytest_metersphere.__version__ == declared
