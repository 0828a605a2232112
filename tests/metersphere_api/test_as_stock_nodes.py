"""Whole sessions that take nodes of ours for stock ones, with real containers and a real Kafka."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pytest_metersphere.dist.client import NodeClient
from tests.docker.engine import Engine
from tests.fakes.nodes import eventually
from tests.metersphere.sessions import assert_lost, assert_whole, begin, shop
from tests.metersphere_api.veil import veiled
from tests.plugin.projects import Project
from tests.plugin.remote import TOKEN, remote_node

pytestmark = [pytest.mark.needs_kafka, pytest.mark.needs_docker, pytest.mark.timeout(300)]
CAPACITIES = (40, 40, 20)


class Successors:
    """Node-controllers of ours in the place of stock ones.

    Attributes:
        pool: the text of a pool, in which they look like stock ones.
        env: the variables by which a session can use them.
        addresses: where they are without their veil.
    """

    def __init__(self, addresses: list[str], veils: list[str], env: dict[str, str]) -> None:
        self.addresses = addresses
        self.env = env
        pairs = enumerate(zip(veils, CAPACITIES, strict=True), 1)
        self.pool = ",".join(f"s{number}@{veil}={capacity}" for number, (veil, capacity) in pairs)

    def free(self) -> list[int]:
        """Return the users that each could take now, as it says of itself."""
        found = []
        for address in self.addresses:
            with contextlib.closing(NodeClient(address, f"http://{address}", TOKEN)) as client:
                found.append(client.info().free)
        return found


@pytest.fixture
def successors(kafka: str, docker_engine: Engine, runner_image: str) -> Iterator[Successors]:
    """Run three of them, as their operators start them."""
    options = ("--launcher=docker", f"--image={runner_image}", "--metersphere-api")
    with ExitStack() as stack:
        addresses = [
            stack.enter_context(
                remote_node(*options, f"--capacity={capacity}", env={"DOCKER_HOST": docker_engine.host})
            )
            for capacity in CAPACITIES
        ]
        veils = [stack.enter_context(veiled(address)) for address in addresses]
        env = {
            "PYTEST_MS_KAFKA": kafka,
            "PYTEST_MS_KAFKA_PREFIX": f"test-{secrets.token_hex(6)}",
            "PYTEST_MS_RUNNER_IMAGE": runner_image,
        }
        yield Successors(addresses, veils, env)


def names(engine: Engine) -> list[str]:
    """Return the names of the containers for stock nodes that there are."""
    return [str(one.name) for one in engine.containers(name="^/ms-load-")]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with a server and a scenario."""
    return shop(tmp_path / "project")


def test_a_scenario_on_three_of_them(project: Project, successors: Successors, docker_engine: Engine) -> None:
    """Users exact, ledger closed, as on stock nodes; and nothing is left."""
    done = project.run(f"--ms-pool={successors.pool}", env=successors.env)

    assert_whole(done)
    result = done.scenario("test_cart")
    assert [(entry.node, entry.users) for entry in result.plan] == [("s1", 4), ("s2", 4), ("s3", 2)]
    assert [node.users for node in result.nodes] == [4, 4, 2]
    assert names(docker_engine) == []
    assert successors.free() == list(CAPACITIES)


def test_a_container_that_is_killed(project: Project, successors: Successors, docker_engine: Engine) -> None:
    """The run is invalid and says whose it was; while it ran, the nodes knew how many users they had."""
    options = [f"--ms-pool={successors.pool}", "--ms-hold=60s"]
    with begin(project, *options, env=successors.env) as session:
        session.under_load()
        assert successors.free() == [36, 36, 18]
        (victim,) = (name for name in names(docker_engine) if "-000001-" in name)
        docker_engine.client.containers.get(victim).kill()
        eventually(lambda: names(docker_engine) == [], "the end of the others' load", 60.0)
        done = session.end()

    assert_lost(done, "s2")
    assert successors.free() == list(CAPACITIES)
