"""This engine, run as a user runs it: a project, a marked test, `pytest --ms-pool=local=…`."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest_metersphere
from benchmarks.compare.rivals.base import Command, Load, Report

_PYTEST = (
    sys.executable,
    "-m",
    "pytest",
    "-q",
    "--disable-plugin-autoload",
    "-p",
    "pytest_metersphere.plugin",
)
"""Other plugins would be measured with it: some take a second of their own at the end."""

_ASYNC = """\
async def test_get(vu):
    await vu.http.get("{url}")
"""
_DEF = """\
def test_get(vu):
    vu.http.get("{url}")
"""
_ASSERTS = """\
async def test_get(vu):
    reply = await vu.http.get("{url}")
    assert reply.status_code == 200
    assert reply.json()["data"]["name"] == "scenario-user"
"""
FORMS = {"async def": _ASYNC, "def": _DEF, "async def, asserts": _ASSERTS}
"""What the scenario's function looks like."""


class Ours:
    """Its samples are always recorded; with Kafka, frames also go to a broker and come from there."""

    settles = 0

    def __init__(self, form: str, *, kafka: str = "", authority: Path | None = None) -> None:
        """Take a form of the scenario.

        Args:
            kafka: `host:port` of a broker.
            authority: certificate that signed the server's; this engine always verifies.
        """
        self.name = f"**{form}{', Kafka' if kafka else ''}**"
        self._form = form
        self._kafka = kafka
        self._authority = authority

    def install(self, cache: Path) -> str:
        return pytest_metersphere.__version__

    def refusal(self, load: Load) -> str:
        return ""

    def command(self, load: Load, folder: Path) -> Command:
        write_project(folder, self._form, load, open_model=knows_rates())
        pool = f"--ms-pool=local={load.users}"
        kafka = (f"--ms-kafka={self._kafka}",) if self._kafka else ()
        environment = {"SSL_CERT_FILE": str(self._authority)} if self._authority else {}
        return Command(
            argv=(*_PYTEST, pool, *kafka),
            environment=environment,
            answer=folder / "ms-report" / "results.json",
        )

    def parse(self, text: str) -> Report:
        (scenario,) = json.loads(text)["scenarios"]
        totals, times, verdict = scenario["totals"], scenario["response"], scenario["verdict"]
        reasons = "; ".join(scenario["findings"] or scenario["validity"]["reasons"])
        return Report(
            requests=scenario["ledger"]["exchanges"],
            failures=totals["failures"],
            p50=times["p50"],
            p99=times["p99"],
            note="" if verdict == "passed" else f"{verdict}: {reasons}",
        )


def write_project(folder: Path, form: str, load: Load, *, open_model: bool) -> None:
    """Write a project of one scenario into a folder; a rate is kept by arrivals if the mark knows them."""
    mark = ", ".join(f"{name}={value!r}" for name, value in _keywords(load, open_model=open_model).items())
    body = FORMS[form].format(url=load.url)
    text = f"import pytest\n\n\n@pytest.mark.load_scenario({mark})\n{body}"
    (folder / "test_load.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")


def _keywords(load: Load, *, open_model: bool) -> dict[str, object]:
    """Return what the mark says."""
    if load.rate and open_model:
        return {"rate": f"{load.rate}/s", "max_users": load.users, "hold": f"{load.seconds}s"}
    keywords: dict[str, object] = {"users": load.users, "hold": f"{load.seconds}s"}
    if load.rate:
        # users that come one after the other, each with a pause that makes its share of the rate
        pause = load.users / load.rate - load.answers_in
        return keywords | {"ramp": "1s", "think": f"{max(pause, 0.0) * 1e3:.1f}ms"}
    if load.ramp:
        keywords["ramp"] = f"{load.ramp}s"
    if load.think:
        keywords["think"] = f"{load.think * 1e3:.0f}ms"
    return keywords


@functools.cache
def knows_rates() -> bool:
    """Return whether this version's mark takes `rate=`, the open model."""
    with tempfile.TemporaryDirectory() as folder:
        text = "import pytest\n\n\n@pytest.mark.load_scenario(rate='1/s')\ndef test_get(vu): pass\n"
        Path(folder, "test_load.py").write_text(text)
        Path(folder, "pytest.ini").write_text("[pytest]\n")
        done = subprocess.run(
            [*_PYTEST, "--collect-only"],
            cwd=folder,
            env=clean_environment(),
            capture_output=True,
            check=False,
        )
    return done.returncode == 0


def clean_environment() -> dict[str, str]:
    """Return this process's variables without those that speak to pytest."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
