"""A real JMeter, a server for it to ask, and projects whose load is a test plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jmeter.home import jmeter_home
from tests.jmeter.target import Target
from tests.plugin.projects import Done, Project

FAST_JAVA = "-Xms64m -Xmx256m -Xss256k -XX:+UseSerialGC -XX:TieredStopAtLevel=1"


class JmxProject(Project):
    """A project with a test plan, and pytest on it with a JMeter that it finds."""

    def __init__(self, folder: Path, home: Path) -> None:
        super().__init__(folder)
        self.home = home

    def plan(self, content: str, name: str = "plans/shop.jmx") -> None:
        """Write a test plan."""
        self.write(name, content)

    def load(self, *args: str) -> Done:
        """Run pytest with that JMeter."""
        return self.run(*args, env=self.environment, limit=170.0)

    @property
    def environment(self) -> dict[str, str]:
        """Return where JMeter is, and how Java starts fast."""
        return {"PYTEST_MS_JMETER_HOME": str(self.home), "JVM_ARGS": FAST_JAVA}


@pytest.fixture(scope="session")
def home(pytestconfig: pytest.Config) -> Path:
    """Return the folder of a real JMeter."""
    return jmeter_home(pytestconfig)


@pytest.fixture
def jmx_project(tmp_path: Path, home: Path) -> JmxProject:
    """Return an empty project and a JMeter for it."""
    return JmxProject(tmp_path / "project", home)


@pytest.fixture
def target() -> Iterator[Target]:
    """Return a server that runs."""
    with Target() as running:
        yield running
