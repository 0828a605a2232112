"""Test plans on stock nodes whose JMeter containers run in a real Docker Engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docker.engine import Engine
from tests.jmeter.target import Target
from tests.metersphere.engines import DockerEngine
from tests.metersphere.jmeter_image.build import jmeter_image
from tests.metersphere.jmx import JMeterMachines, assert_closed, log_sender, new_topics, shop
from tests.metersphere.stand_in import StandIn
from tests.plugin.projects import Project

__all__ = ["jmeter_image"]
pytestmark = [
    pytest.mark.needs_kafka,
    pytest.mark.needs_docker,
    pytest.mark.needs_jmeter,
    pytest.mark.timeout(300),
]


@pytest.fixture
def machines(kafka: str, docker_engine: Engine, jmeter_image: str) -> Iterator[JMeterMachines]:
    """Return three node-controllers whose containers run in the same real Docker Engine."""
    with ExitStack() as stack:
        api = docker_engine.client.api
        log = stack.enter_context(log_sender(kafka))
        found = [stack.enter_context(StandIn(DockerEngine(api), log)) for _ in range(3)]
        yield JMeterMachines(found, kafka, "unused", "", jmeter_image, new_topics())
        for one in api.containers(all=True, filters={"name": "ms-load-"}):
            api.remove_container(one["Id"], force=True)


@pytest.fixture
def target() -> Iterator[Target]:
    """Return a server that runs."""
    with Target() as running:
        yield running


def test_a_test_plan_on_three_stock_nodes(tmp_path: Path, machines: JMeterMachines, target: Target) -> None:
    """The JMeter image runs each node's share; users are exact, and rows equal what the server has seen."""
    project = Project(tmp_path / "project")
    shop(project, target, 'users=10, ramp="1s", hold="5s"')

    done = project.run(f"--ms-pool={machines.pool(40, 40, 20)}", env=machines.env, limit=250.0)

    assert_closed(done, target)
    result = done.scenario("test_shop")
    assert [(entry.node, entry.users) for entry in result.plan] == [("s1", 4), ("s2", 4), ("s3", 2)]
    assert [node.users for node in result.nodes] == [4, 4, 2]
    assert result.totals.users_max == 10
    assert machines.stand_ins[0].names() == []
