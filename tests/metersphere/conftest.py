"""Stock node-controllers, by their stand-in, and sessions that run load on them."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.docker.conftest import start
from tests.docker.engine import Engine
from tests.metersphere.engines import DockerEngine, ProcessEngine
from tests.metersphere.sessions import IMAGE, Machines
from tests.metersphere.stand_in import StandIn

__all__ = ["start"]
RUNNER = (sys.executable, "-P", "-m", "pytest_metersphere.dist.node.runner")


@pytest.fixture
def processes() -> Iterator[ProcessEngine]:
    """Return a machine whose containers are processes, with the runner's image."""
    engine = ProcessEngine({IMAGE: RUNNER})
    yield engine
    engine.close()


@pytest.fixture
def stand_in(processes: ProcessEngine) -> Iterator[StandIn]:
    """Return one stock node-controller."""
    with StandIn(processes) as running:
        yield running


@pytest.fixture
def docker_machines(kafka: str, docker_engine: Engine, runner_image: str) -> Iterator[Machines]:
    """Return three node-controllers whose containers run in a real Docker Engine: the same one, as it is."""
    with ExitStack() as stack:
        api = docker_engine.client.api
        found = [stack.enter_context(StandIn(DockerEngine(api))) for _ in range(3)]
        yield Machines(found, kafka, f"test-{secrets.token_hex(6)}", runner_image)
        for one in api.containers(all=True, filters={"name": "ms-load-"}):
            api.remove_container(one["Id"], force=True)


@pytest.fixture
def machines(kafka: str) -> Iterator[Machines]:
    """Return three machines, each with a stock node-controller of its own."""
    with ExitStack() as stack:
        found: list[StandIn] = []
        for _ in range(3):
            engine = ProcessEngine({IMAGE: RUNNER})
            stack.callback(engine.close)
            found.append(stack.enter_context(StandIn(engine)))
        yield Machines(found, kafka, f"test-{secrets.token_hex(6)}")
