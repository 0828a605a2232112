"""Test the built wheel as users have it: in a new environment, away from the sources.

Run as `python -m tests.wheel --pytest '8.4.*' [--python /path/to/python3.13] [-- pytest's arguments]`; it
builds the wheel, installs it with the wanted pytest, and runs the tests that are about what users see. Its
exit code is pytest's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_ABOUT_USERS = (
    "tests/plugin/test_functional_mode.py",
    "tests/plugin/test_marks.py",
    "tests/plugin/test_option_ms_pool.py",
    "tests/plugin/test_option_ms_threshold.py",
    "tests/plugin/test_under_load.py",
    "tests/plugin/test_usefixtures.py",
    "tests/engine/test_load_fixtures.py",
    "tests/unit/test_options.py",
)
_SOURCES = ("pytest_metersphere", "templates", "pyproject.toml", "README.md", "LICENSE")
_TESTS = ("tests", "examples", "pyproject.toml")


def main() -> int:
    """Build, install and test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="the Python of the new environment")
    parser.add_argument("--pytest", default="9.*", help="version of pytest, such as 8.4.*")
    parser.add_argument("arguments", nargs="*", help="for pytest, after --")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ms-wheel-") as folder:
        home = Path(folder)
        python = _environment(home, asked.python, asked.pytest, built_wheel(home))
        away = _copy(_TESTS, home / "away")
        print(
            f"the wheel on {_said(python, '--version')}, {_said(python, '-m', 'pytest', '--version')}",
            flush=True,
        )
        command = [python, "-m", "pytest", *(asked.arguments or _ABOUT_USERS)]
        return subprocess.run(command, cwd=away, env=_environ(), check=False).returncode


def built_wheel(home: Path) -> Path:
    """Build the wheel from a copy of the sources into a folder, and return it."""
    sources = copied_sources(home / "sources")
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", home, sources)
    return next(home.glob("*.whl"))


def copied_sources(target: Path) -> Path:
    """Copy what a wheel is built from, and nothing that a build has left, into a new folder; return it."""
    return _copy(_SOURCES, target)


def _environment(home: Path, python: str, pytest: str, wheel: Path) -> Path:
    """Return the Python of a new environment with the wheel and what the tests need."""
    settings = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    _run(python, "-m", "venv", home / "venv")
    made = home / "venv" / "bin" / "python"
    pip = (made, "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
    _run(*pip, wheel, f"pytest=={pytest}", *settings["dependency-groups"]["test"])
    return made


def _copy(names: tuple[str, ...], target: Path) -> Path:
    target.mkdir()
    for name in names:
        source = _ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return target


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _said(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
