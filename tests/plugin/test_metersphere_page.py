"""What docs/metersphere.md tells users of MeterSphere to type does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.plugin.conftest import Inner
from tests.plugin.plans import table
from tests.plugin.projects import Project
from tests.plugin.servers import SERVER

TEXT = (Path(__file__).parents[2] / "docs" / "metersphere.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
READS_BODIES = """
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.do_GET()
"""
SHORT = ("--ms-users=2", "--ms-ramp=0s", "--ms-hold=1s")


@pytest.fixture
def shop(project: Project) -> Project:
    """Return a project with the page's example, its data, and a server that takes orders."""
    project.write("conftest.py", SERVER.replace("\n    do_POST = do_GET\n", READS_BODIES))
    project.write("users.csv", "name,password\nann,1\nbob,2\n")
    project.write("test_order.py", *EXAMPLE)
    return project


def test_the_example_is_a_test(shop: Project) -> None:
    """Alone it runs once."""
    done = shop.run()

    assert done.code == 0, done.text
    assert done.counts == {"passed": 1}


def test_the_example_is_a_load_test(shop: Project) -> None:
    """On a pool it runs as load, with the data on the nodes."""
    done = shop.run("--ms-pool=local", *SHORT)

    assert done.code == 0, done.text
    result = done.scenario("test_order")
    assert [(label.name, label.kind) for label in sorted(result.labels, key=lambda each: each.name)] == [
        ("POST /login", "request"),
        ("POST /orders", "request"),
        ("order", "transaction"),
    ]
    assert result.totals.users_max == 2


def test_the_split_is_as_it_says(scenario: Inner) -> None:
    """Ten thousand users, and eighty thousand on eight equal nodes, by the commands of the page."""
    (command,) = re.findall(r"^\$ pytest (--ms-pool=.* --ms-plan)$", TEXT, flags=re.MULTILINE)
    plan = table(scenario.run(*command.split()))
    eight = table(scenario.run("--ms-pool=local=" + "+".join(["10000"] * 8), "--ms-users=80000", "--ms-plan"))

    assert "are 4,000, 4,000 and\n2,000" in TEXT
    assert plan.peak == (10000, [4000, 4000, 2000])
    assert eight.peak == (80000, [10000] * 8)


def test_its_pool_is_one(scenario: Inner) -> None:
    """The line of ms_pools, by its name."""
    (line,) = re.findall(r"`(perf: 10\.0\.0\.11=.*?)`", TEXT)
    scenario.pytester.makeini(f"[pytest]\nms_pools =\n    {line}")
    plan = table(scenario.run("--ms-pool=perf", "--ms-plan", "--ms-users=10"))

    assert plan.peak == (10, [4, 4, 2])
