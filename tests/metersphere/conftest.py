"""Stock node-controllers, by their stand-in, and sessions that run load on them."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.metersphere.engines import ProcessEngine
from tests.metersphere.sessions import IMAGE, Machines
from tests.metersphere.stand_in import StandIn

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
def machines(kafka: str) -> Iterator[Machines]:
    """Return three machines, each with a stock node-controller of its own."""
    with ExitStack() as stack:
        found: list[StandIn] = []
        for _ in range(3):
            engine = ProcessEngine({IMAGE: RUNNER})
            stack.callback(engine.close)
            found.append(stack.enter_context(StandIn(engine)))
        yield Machines(found, kafka, f"test-{secrets.token_hex(6)}")
