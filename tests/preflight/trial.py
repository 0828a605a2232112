"""A whole pytest session that must end before any load, because something is not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from pytest_metersphere.dist.checks import Wanted
from pytest_metersphere.dist.fleet import Fleet
from pytest_metersphere.dist.pool import parse_pool
from pytest_metersphere.dist.wire import KafkaAccess
from tests.jmeter.plans import plan, threads
from tests.plugin.projects import Done, Project
from tests.plugin.remote import TOKEN
from tests.preflight.messages import LIMIT

PATIENCE = 25.0
"""Seconds for a session: Python's start on a busy machine, and the ten that a preflight may take."""

_SCENARIO = """
    import pathlib

    import pytest

    MARK = pathlib.Path({mark!r})

    def test_that_is_ordinary():
        MARK.touch()

    @pytest.mark.load_scenario(users=5, iterations=1, hold="5s")
    async def test_cart(vu):
        MARK.touch()
        with vu.sample("look"):
            await vu.sleep(0.01)
"""
_JMX = """
    import pytest

    @pytest.mark.load_scenario(jmx="shop.jmx")
    def test_shop():
        pass
"""


class Trial:
    """A project with a small scenario and an ordinary test, each of which leaves a mark once it runs."""

    def __init__(self, folder: Path, head: str = "") -> None:
        """Write the project into a folder; `head` are first lines of its test file."""
        self._mark = folder / "mark"
        self.project = Project(folder / "project")
        self.project.write("test_cart.py", f"    {head}\n{_SCENARIO.format(mark=str(self._mark))}")

    @property
    def has_run(self) -> bool:
        """Return whether a test was run, here or on a node."""
        return self._mark.exists()

    def run(
        self,
        *options: str,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        patience: float = PATIENCE,
    ) -> Done:
        """Run pytest on the project, with the token of the tests' nodes unless `env` has another."""
        full = {"PYTEST_MS_TOKEN": TOKEN, "RES_OPTIONS": "attempts:1 timeout:1"} | dict(env or {})
        return self.project.run(*options, env=full, prefix=prefix, limit=patience)

    def refuses(self, *options: str, env: Mapping[str, str] | None = None, prefix: Sequence[str] = ()) -> str:
        """Run pytest, which must end with exit code 4, having run nothing; return its only message."""
        done = self.run(*options, env=env, prefix=prefix)

        assert done.code == 4, done.text
        assert not self.has_run
        assert not (done.reports / "results.json").exists()
        assert "Traceback" not in done.text
        assert done.text.count("ERROR: ") == 1, done.text
        return done.text.partition("ERROR: ")[2].strip()


def jmeter_trial(folder: Path) -> Trial:
    """Return a trial with one more scenario, whose load is a JMeter test plan."""
    trial = Trial(folder)
    trial.project.write("shop.jmx", plan(threads()))
    trial.project.write("test_shop.py", _JMX)
    return trial


def assert_found_in_time(
    address: str, token: str = TOKEN, cafile: str | None = None, kafka: KafkaAccess | None = None
) -> None:
    """Check a node as a session does: one thing does not hold, and is found within ten seconds."""
    fleet = Fleet(parse_pool(f"n1@{address}=9", {}), token, cafile)
    checks = fleet.check(Wanted(version("pytest-metersphere"), kafka=kafka))

    assert [check.ok for check in checks].count(False) == 1, checks
    assert sum(check.seconds for check in checks) < LIMIT
