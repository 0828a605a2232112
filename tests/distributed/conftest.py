"""A node-controller with stand-in workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_metersphere.dist.client import NodeClient
from tests.fakes.nodes import NodeThread, config


@pytest.fixture
def node() -> Iterator[NodeThread]:
    """Return a node that carries 100 users, with two workers a slice."""
    with NodeThread(config()) as node:
        yield node


@pytest.fixture
def client(node: NodeThread) -> Iterator[NodeClient]:
    """Return a client of the node."""
    with node.client() as client:
        yield client
