"""Slices with real workers, for a node in this process whose containers run on a real Docker Engine."""

from __future__ import annotations

from typing import Any

from docker.models.containers import Container

from pytest_metersphere.dist.node.config import DockerConfig
from pytest_metersphere.dist.wire import StartRequest
from tests.docker.engine import Engine
from tests.fakes.nodes import NodeThread, bundle_of, config, start_request

NODE = "n1@127.0.0.1:8082"
TEST = """
import os
import time

import pytest

@pytest.mark.load_scenario(users=4)
{function}
"""
SLEEPER = """
async def test_x(vu):
    with vu.sample("nap"):
        await vu.sleep(0.05)
"""
TALKER = """
async def test_x(vu):
    print(f"user {vu.id} is {os.getuid()} in {os.getcwd()}")
    await vu.sleep(0.2)
"""
GLUTTON = """
async def test_x(vu):
    await vu.sleep(0.5)
    hoard = [b"x" * (1 << 20) for _ in range(1 << 10)]
"""


def node(image: str, **changes: Any) -> NodeThread:
    """Return a node for 100 users with two workers a slice."""
    return NodeThread(config(docker=DockerConfig(node=NODE, image=image, **changes)))


def bundle(function: str = SLEEPER) -> bytes:
    """Return a bundle with one scenario, `test_x.py::test_x`."""
    return bundle_of({"test_x.py": TEST.format(function=function).encode()})


def container_of(engine: Engine, request: StartRequest | None = None) -> Container:
    """Return the container of a slice, found by its name."""
    return engine.client.containers.get(f"pytest-metersphere-{(request or start_request()).slice}")


def names(engine: Engine) -> list[str]:
    """Return the names of all containers, ended ones too, but for those that look into the image."""
    found = [str(each.name) for each in engine.containers()]
    return [name for name in found if not name.startswith("pytest-metersphere-facts-")]
