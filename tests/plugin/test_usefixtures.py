"""Load-scoped fixtures that a test only uses: `usefixtures` instead of an argument."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.projects import Project

_SCENARIOS = """
import pytest
import pytest_metersphere

@pytest.fixture
def prefix():
    return "token-"

@pytest_metersphere.fixture(scope="user")
async def login(vu, prefix):
    with vu.sample("login"):
        vu.state.token = f"{prefix}{vu.id}"
    yield
    with vu.sample("logout"):
        pass

@pytest.mark.usefixtures("login")
class TestShop:
    @pytest.mark.load_scenario(users=3, iterations=2)
    async def test_async(self, vu):
        with vu.sample("step"):
            assert vu.state.token == f"token-{vu.id}"

    @pytest.mark.load_scenario(users=3, iterations=2)
    def test_def(self, vu):
        with vu.sample("step"):
            assert vu.state.token == f"token-{vu.id}"
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project whose scenarios use a load-scoped fixture without taking it."""
    project = Project(tmp_path)
    project.write("test_shop.py", _SCENARIOS)
    return project


def test_they_are_set_up_in_functional_mode(project: Project) -> None:
    """The scenario finds what the fixture has done."""
    done = project.run()

    assert done.code == 0, done.text
    assert done.counts == {"passed": 2}


def test_they_are_set_up_for_every_user_under_load(project: Project) -> None:
    """Each virtual user runs them once, and tears them down."""
    done = project.run("--ms-pool=local")

    assert done.code == 0, done.text
    for scenario in done.document.scenarios:
        assert {label.name: label.requests for label in scenario.labels} == {
            "login": 3,
            "step": 6,
            "logout": 3,
        }
