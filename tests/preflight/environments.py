"""What a node runs in: environments, versions and clocks that differ from the controller's."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection
from pathlib import Path

import pytest_metersphere

_LIBRARY = Path("/usr/$LIB/faketime/libfaketime.so.1")


def environment_without(folder: Path, names: Collection[str] = ()) -> Path:
    """Make a virtual environment with all that is installed here but some; return its site-packages.

    Args:
        folder: where to make it.
        names: entries of site-packages to leave out.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if entry.name not in names:
            (site / entry.name).symlink_to(entry)
    return site


def python_of(folder: Path) -> str:
    """Return the interpreter of a virtual environment."""
    return str(folder / "bin" / "python")


def install_metadata(site: Path, name: str, version: str) -> None:
    """Write down in a folder of packages that a distribution is installed in a version."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def other_release(folder: Path, version: str) -> dict[str, str]:
    """Install this project in another version; return the environment variables that put it first."""
    source = Path(pytest_metersphere.__file__).parent
    shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    install_metadata(folder, "pytest-metersphere", version)
    # the folder in which the node is started must not come before it
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def wrong_clock(offset: str) -> dict[str, str]:
    """Return the environment variables by which libfaketime shifts the wall clock, `+2h` or `-2h`."""
    # the program `faketime` would stay in between and keep signals for itself
    return {"LD_PRELOAD": str(_LIBRARY), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
