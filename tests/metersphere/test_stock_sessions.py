"""Whole sessions on stock nodes: the containers are processes here, Kafka and all else is real."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.metersphere.sessions import SCENARIO, Machines, assert_whole
from tests.plugin.projects import Project
from tests.plugin.servers import SERVER

pytestmark = [pytest.mark.needs_kafka, pytest.mark.timeout(180)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with a server and a scenario."""
    made = Project(tmp_path / "project")
    made.write("conftest.py", SERVER)
    made.write("test_shop.py", SCENARIO)
    return made


def test_a_scenario_on_three_stock_nodes(project: Project, machines: Machines) -> None:
    """Users by capacity, a closed ledger, the server's own count, and nothing left behind."""
    done = project.run(f"--ms-pool={machines.pool(40, 40, 20)}", env=machines.env)

    assert_whole(done)
    result = done.scenario("test_cart")
    assert [(entry.node, entry.users) for entry in result.plan] == [("s1", 4), ("s2", 4), ("s3", 2)]
    assert [node.users for node in result.nodes] == [4, 4, 2]
    assert [stand_in.names() for stand_in in machines.stand_ins] == [[], [], []]
