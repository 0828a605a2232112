"""The Action's install step puts the plugin, from its own files, beside what the tests need."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.action.runner import ROOT, Job, StepResult
from tests.wheel import copied_sources

_HAS_IT = "import pytest_metersphere.ci, importlib.metadata as m; print(m.version('pytest-metersphere'))"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Return a job with a new Python that borrows this environment's packages, but not ours."""
    home = tmp_path / "venv"
    venv.create(home, symlinks=True)
    borrowed = next(home.glob("lib/python*/site-packages")) / "borrowed.pth"
    borrowed.write_text(sysconfig.get_path("purelib") + "\n")
    action = copied_sources(tmp_path / "action")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    # nothing is fetched: what pip needs is there
    env = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    return Job(workspace, action, str(home / "bin" / "python"), env, skip_install=False)


def _install(job: Job, text: str) -> StepResult:
    job.use_action({"install": text, "tests": "nowhere", "python-version": "3.13"})
    return next(result for result in job.results if result.name.startswith("Install"))


def _python(job: Job, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [job.python, "-c", code], cwd=job.workspace, capture_output=True, text=True, check=False
    )


def test_the_plugin_and_more_are_installed(job: Job) -> None:
    """`install` holds pip's arguments, quotes respected; the plugin comes from the Action's own files."""
    package = job.workspace / "a package"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
        "[project]\nname = 'needed-by-tests'\nversion = '1.0'\n[tool.setuptools]\npy-modules = ['needed']\n"
    )
    (package / "needed.py").write_text("")
    installed = _install(job, "--no-cache-dir './a package'")

    assert installed.code == 0, installed.log
    assert _python(job, "import needed").returncode == 0
    assert _python(job, _HAS_IT).stdout.strip() == "0.1.0"
    assert job.results[-1].outputs["exit-code"] == "4"


def test_none_installs_nothing(job: Job) -> None:
    """Where the plugin is missing then, the step says so instead of failing later."""
    refused = _install(job, "none")

    assert refused.code == 1
    assert "does not have pytest-metersphere" in refused.annotations[0]["message"]
    assert job.results[-1] is refused


def test_what_install_holds_is_not_executed(job: Job) -> None:
    """Text for a shell stays text: pip refuses it."""
    refused = _install(job, "$(touch pwned) `touch pwned`; touch pwned")

    assert refused.code != 0
    assert not list(job.workspace.rglob("pwned"))
    assert _install_quote(job).annotations[0]["message"].startswith('input install: "it\'s" cannot be split')


def _install_quote(job: Job) -> StepResult:
    job.use_action({"install": "it's"})
    return job.results[-1]


def test_a_python_of_the_operating_system_is_refused(job: Job, tmp_path: Path) -> None:
    """Where pip may not install (PEP 668), the message says what to give instead of pip's."""
    script = ROOT / "pytest_metersphere" / "ci" / "install.py"
    code = (
        "import runpy, sys, sysconfig; sys.base_prefix = sys.prefix; "
        f"sysconfig.get_path = lambda name: {str(tmp_path)!r}; "
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert 'python-version: "3.13"' in done.stdout
