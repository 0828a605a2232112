"""The Docker Engine and the runner image; node-controllers that give each slice a container."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.docker.engine import Engine
from tests.docker.jmeter_image import jmeter_image
from tests.jmeter.conftest import home, target
from tests.machines.conftest import HOSTS, Pool, go_shopping, shopping
from tests.plugin.remote import remote_node

__all__ = ["go_shopping", "home", "jmeter_image", "shopping", "target"]

Start = Callable[..., Pool]


@pytest.fixture
def start(docker_engine: Engine, runner_image: str) -> Iterator[Start]:
    """Return a function that starts node-controllers with more options, one for each capacity."""
    with ExitStack() as stack:

        def started(*options: str, capacities: tuple[int, ...] = (40, 40, 20)) -> Pool:
            return stack.enter_context(pool(docker_engine, runner_image, *options, capacities=capacities))

        yield started


@contextmanager
def pool(engine: Engine, image: str, *options: str, capacities: tuple[int, ...]) -> Iterator[Pool]:
    """Run node-controllers on addresses of their own, whose slices are containers of an image."""
    command = ("--launcher=docker", f"--image={image}", *options)
    with ExitStack() as stack:
        nodes = Pool(
            [
                stack.enter_context(
                    remote_node(
                        *command, f"--capacity={capacity}", host=host, env={"DOCKER_HOST": engine.host}
                    )
                )
                for host, capacity in zip(HOSTS, capacities, strict=False)
            ]
        )
        stack.callback(nodes.close)
        yield nodes
