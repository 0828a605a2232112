"""Nodes that answer MeterSphere's servers, and an image whose containers do what a variable says."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from docker.errors import DockerException

from pytest_metersphere.dist.node.config import DockerConfig, MeterSphereConfig, NodeConfig
from tests.docker.engine import BASE, Engine, EngineError, make_base
from tests.fakes.nodes import NodeThread, config
from tests.metersphere_api.server import NODE, SCRIPT, Server
from tests.parts import lack

Starter = Callable[..., NodeThread]
_DOCKERFILE = f"""
FROM {BASE}
ENTRYPOINT ["sh", "-c", "eval \\"$SCRIPT\\""]
"""


@pytest.fixture(scope="session")
def script_image(docker_engine: Engine, pytestconfig: pytest.Config) -> str:
    """Return the name of an image whose containers run the variable SCRIPT in a shell."""
    try:
        make_base(docker_engine)
        docker_engine.client.images.build(
            fileobj=io.BytesIO(_DOCKERFILE.encode()), tag=SCRIPT, network_mode="none", rm=True
        )
    except (EngineError, DockerException) as error:
        lack(pytestconfig, f"an image for scripts: {error}")
    return SCRIPT


@pytest.fixture
def docker(docker_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Return the Docker Engine that nodes of this process use; no container of theirs is left in it."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    yield docker_engine
    for one in docker_engine.containers(label=f"io.pytest-metersphere.node={NODE}"):
        one.remove(force=True)


@pytest.fixture
def begin(docker: Engine, script_image: str) -> Iterator[Starter]:
    """Return a function that starts a node for 100 users which answers MeterSphere's servers."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(NodeThread(answering(**changes)))


@pytest.fixture
def node(begin: Starter) -> NodeThread:
    """Return such a node."""
    return begin()


@pytest.fixture
def server(node: NodeThread) -> Server:
    """Return what a MeterSphere server can do with it."""
    return Server(node.address)


@pytest.fixture
def dockerless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[NodeThread]:
    """Return such a node on a machine whose Docker does not run."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with NodeThread(answering()) as node:
        yield node


def answering(**changes: Any) -> NodeConfig:
    """Return the configuration of a node for 100 users which answers MeterSphere's servers."""
    plain: dict[str, Any] = {
        "docker": DockerConfig(node=NODE, image=SCRIPT),
        "metersphere": MeterSphereConfig(),
    }
    return config(**(plain | changes))
