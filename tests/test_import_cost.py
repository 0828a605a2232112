"""Every pytest run of everyone who has the plugin installed pays for importing it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_TOP_LEVELS = """
import sys
{imports}
print(*sorted({{name.partition(".")[0] for name in sys.modules}} - sys.stdlib_module_names))
"""


def _third_party_after(imports: str) -> set[str]:
    """Return the top-level modules outside the standard library that a fresh interpreter then holds."""
    program = _TOP_LEVELS.format(imports=imports)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split()) - {"__main__"}


@pytest.fixture(scope="module")
def allowed() -> set[str]:
    """Return what is there anyway: pytest, pluggy, msgspec and what these import."""
    return _third_party_after("import pytest, pluggy, msgspec")


def test_importing_the_plugin_imports_nothing_else(allowed: set[str]) -> None:
    """The plugin module brings no third-party package beyond pytest, pluggy and msgspec."""
    assert _third_party_after("import pytest_metersphere.plugin") - allowed == {"pytest_metersphere"}


@pytest.mark.parametrize(
    "package", ["aiohttp", "crc32c", "httptools", "jinja2", "junit_xml", "kafka", "requests", "uvloop"]
)
def test_the_heavy_packages_would_be_seen(allowed: set[str], package: str) -> None:
    """Each package that must stay away shows up in the comparison once something imports it."""
    assert package in _third_party_after(f"import {package}") - allowed


_ORDINARY_SESSION = """
import contextlib, io, pytest
with contextlib.redirect_stdout(io.StringIO()):
    code = pytest.main(["--disable-plugin-autoload", "-p", "pytest_metersphere.plugin", {folder!r}])
assert code == 0
"""


def test_a_session_without_scenarios_stays_free_of_them(tmp_path: Path) -> None:
    """A whole pytest session over ordinary tests imports none of the heavy packages either."""
    (tmp_path / "test_ordinary.py").write_text("def test_nothing():\n    pass\n")

    imported = _third_party_after(_ORDINARY_SESSION.format(folder=str(tmp_path)))

    assert "pytest_metersphere" in imported
    assert not imported & {
        "aiohttp",
        "crc32c",
        "httptools",
        "jinja2",
        "junit_xml",
        "kafka",
        "requests",
        "uvloop",
    }
