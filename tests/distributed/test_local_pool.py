"""A local pool's node-controllers obey this session alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.fleet import Fleet
from pytest_metersphere.dist.local import default_capacity, workers_of
from pytest_metersphere.dist.nodes import Node
from pytest_metersphere.dist.pool import parse_pool
from pytest_metersphere.errors import PreflightError

_SLICE = {
    "request": ("request", b"\x80", "application/msgpack"),
    "bundle": ("bundle", b"PK\x05\x06" + bytes(18), "application/zip"),
}


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """Return a running pool of two local nodes."""
    fleet = Fleet(parse_pool("local=30+20", {}), "")
    yield fleet
    fleet.close()


def token_of(fleet: Fleet) -> str:
    """Return the token that was made for this pool."""
    node = fleet.nodes[0]
    assert isinstance(node, Node)
    return node.token


def _slices(fleet: Fleet) -> list[str]:
    with fleet.nodes[0].connect() as client:
        return client.info().slices


def test_nodes_have_the_capacities_of_the_pool(fleet: Fleet) -> None:
    """What was written is what is free."""
    assert fleet.free_capacities() == [30, 20]
    assert [node.name for node in fleet.nodes] == ["local-1", "local-2"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer guessed"}, 401),
        ({"Origin": "https://evil.example"}, 403),
        ({"Host": "evil.example"}, 421),
    ],
    ids=["no token", "wrong token", "a web page", "a rebound name"],
)
def test_a_stranger_starts_nothing(fleet: Fleet, headers: dict[str, str], status: int) -> None:
    """A POST without the session's token, or from a web page, is refused and starts nothing."""
    if "Origin" in headers or "Host" in headers:
        headers = headers | {"Authorization": f"Bearer {token_of(fleet)}"}

    answer = requests.post(f"{fleet.nodes[0].url}/v1/slices", headers=headers, files=_SLICE, timeout=5)

    assert answer.status_code == status, answer.text
    assert _slices(fleet) == []


def test_the_token_is_not_in_the_process_list(fleet: Fleet) -> None:
    """Other users of the machine see command lines: no secret stands there."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout

    assert "pytest_metersphere node" in listed
    assert token_of(fleet) not in listed


def test_another_token_than_the_sessions_is_refused(fleet: Fleet) -> None:
    """The preflight says what to do about a wrong token."""
    node = fleet.nodes[0]

    with (
        NodeClient(node.name, node.url, "wrong") as client,
        pytest.raises(Exception, match="PYTEST_MS_TOKEN"),
    ):
        client.info()


def test_a_node_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The last words of a node-controller that cannot start are in the error."""
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 3\n")
    broken.chmod(0o700)
    monkeypatch.setattr(sys, "executable", os.fspath(broken))

    with pytest.raises(PreflightError, match=r"local-1.*no such luck"):
        Fleet(parse_pool("local=5", {}), "")


def test_local_nodes_share_the_cores() -> None:
    """However many nodes, each has a worker, and together no more than there are cores, if these suffice."""
    for nodes in (1, 2, 3, 50):
        workers = [workers_of(index, nodes) for index in range(nodes)]

        assert min(workers) >= 1
        assert sum(workers) == max(nodes, workers_of(0, 1))
        assert all(default_capacity(index, nodes) > 0 for index in range(nodes))
