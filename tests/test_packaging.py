"""What users install: the wheel holds everything and works, and so does an editable install."""

from __future__ import annotations

import importlib.resources
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.wheel import built_wheel

_ROOT = Path(__file__).resolve().parents[1]
_LIST_TEMPLATES = """
import importlib.resources, pathlib
top = importlib.resources.files("pytest_metersphere.templates")
with importlib.resources.as_file(top) as folder:
    print(*sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()), sep="\\n")
"""
_IMPORT_EVERYTHING = """
import importlib, pkgutil, pytest_metersphere
for module in pkgutil.walk_packages(pytest_metersphere.__path__, "pytest_metersphere."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
print(pytest_metersphere.__file__)
"""


def _without_caches(folder: Path) -> set[str]:
    """Return the files under a folder of sources, relative to it, compiled ones left out."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


def _shipped() -> set[str]:
    """Return the paths that a wheel must hold, by what is on disk."""
    package = {f"pytest_metersphere/{name}" for name in _without_caches(_ROOT / "pytest_metersphere")}
    templates = {f"pytest_metersphere/templates/{name}" for name in _without_caches(_ROOT / "templates")}
    return package | templates


def _run(folder: Path, *command: str | Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources, so that no leftover of an older build gets in."""
    return built_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel alone into a new environment that borrows this one's other packages."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, symlinks=True)
    scripts = home / "bin"
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python")
    _run(home, *pip, "install", "--quiet", "--no-deps", "--no-index", wheel)
    # a path file inside a borrowed folder is not read: the editable install does not come along
    site_packages = next(home.glob("lib/python*/site-packages"))
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scripts


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    """Each module, template and marker file on disk is in the wheel, and nothing else but metadata."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert held == _shipped()


def test_the_wheel_holds_the_licence(wheel: Path) -> None:
    """The licence text travels with the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        licences = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]

        assert [archive.read(name).decode() for name in licences] == [(_ROOT / "LICENSE").read_text()]


def test_every_module_of_an_installed_wheel_can_be_imported(installed: Path, tmp_path: Path) -> None:
    """Away from the repository, the wheel's modules import, and from where it was installed."""
    *modules, origin = _run(tmp_path, installed / "python", "-c", _IMPORT_EVERYTHING).splitlines()

    assert Path(origin).is_relative_to(installed.parent)
    assert "pytest_metersphere.plugin" in modules
    assert "pytest_metersphere.dist.wire" in modules


def test_an_installed_wheel_brings_the_command(installed: Path, tmp_path: Path) -> None:
    """The console script and `python -m pytest_metersphere` answer with the same help."""
    by_script = _run(tmp_path, installed / "pytest-metersphere", "--help")
    by_module = _run(tmp_path, installed / "python", "-m", "pytest_metersphere", "--help")

    assert "pytest-metersphere" in by_script
    assert "node" in by_script
    assert by_module == by_script


def test_an_installed_wheel_is_a_plugin_of_pytest(installed: Path, tmp_path: Path) -> None:
    """The pytest there finds the plugin by its entry point, with its options and markers."""
    shown = _run(tmp_path, installed / "python", "-m", "pytest", "--markers", "-p", "no:cacheprovider")

    assert "@pytest.mark.load_scenario(" in shown
    assert "@pytest.mark.threshold(" in shown


def test_templates_are_found_in_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    """The templates are read as resources of the package, wherever it is installed."""
    listed = _run(tmp_path, installed / "python", "-c", _LIST_TEMPLATES).splitlines()

    assert {name for name in listed if "__pycache__" not in name} == _without_caches(_ROOT / "templates")


def test_templates_are_found_in_this_installation() -> None:
    """The same holds for the installation under test: with `make test` an editable one."""
    top = importlib.resources.files("pytest_metersphere.templates")

    with importlib.resources.as_file(top) as folder:
        assert _without_caches(folder) == _without_caches(_ROOT / "templates")
