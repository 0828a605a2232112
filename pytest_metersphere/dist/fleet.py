"""The nodes of the session's pool, connected: local ones started, all of them checked."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.local import LocalPool
from pytest_metersphere.dist.pool import NodeSpec, Pool
from pytest_metersphere.dist.wire import PROTOCOL, Check, CheckRequest, NodeInfo
from pytest_metersphere.errors import NodeError, PreflightError
from pytest_metersphere.scenario.travel import is_loopback_host

MAX_THREADS = 64
T = TypeVar("T")
S = TypeVar("S")


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A node that can be spoken to."""

    name: str
    url: str
    token: str
    capacity: int | None
    loopback: bool

    def connect(self) -> NodeClient:
        """Return a new client of the node, for use in one thread."""
        return NodeClient(self.name, self.url, self.token)


class Fleet:
    """The nodes of a pool.

    Attributes:
        nodes: in the order of the pool.
    """

    def __init__(self, pool: Pool, token: str) -> None:
        """Start the local nodes of the pool; `token` is for the others.

        Raises:
            PreflightError: a local node did not start.
        """
        local = [spec for spec in pool.nodes if spec.local]
        self._local = LocalPool(local) if local else None
        try:
            ports = iter(self._local.ports() if self._local else [])
        except NodeError as error:
            self.close()
            raise PreflightError(str(error)) from None
        self.nodes = [
            _node(spec, next(ports), self._local.token)
            if spec.local and self._local
            else _node(spec, spec.port, token)
            for spec in pool.nodes
        ]

    def check(self, version: str) -> list[Check]:
        """Check every node at once: reachable, ours, token, version."""
        return [
            check
            for checks in in_parallel(lambda node: _checks(node, version), self.nodes)
            for check in checks
        ]

    def free_capacities(self) -> list[int]:
        """Return the users that each node could take now: what it reports, at most what the pool says.

        Raises:
            NodeError: a node does not answer.
        """
        infos = in_parallel(_info, self.nodes)
        return [_free(node, info) for node, info in zip(self.nodes, infos, strict=True)]

    def close(self) -> None:
        """End the local nodes."""
        if self._local is not None:
            self._local.close()
            self._local = None


def in_parallel(work: Callable[[S], T], subjects: Sequence[S]) -> list[T]:
    """Do the same with all subjects at once and return the results in order; the first error is raised."""
    if not subjects:
        return []
    with ThreadPoolExecutor(min(MAX_THREADS, len(subjects))) as pool:
        return list(pool.map(work, subjects))


def _node(spec: NodeSpec, port: int, token: str) -> Node:
    host = f"[{spec.host}]" if ":" in spec.host else spec.host
    return Node(spec.name, f"http://{host}:{port}", token, spec.capacity, is_loopback_host(spec.host))


def _info(node: Node) -> NodeInfo:
    with node.connect() as client:
        return client.info()


def _free(node: Node, info: NodeInfo) -> int:
    return info.free if node.capacity is None else min(info.free, node.capacity)


def _checks(node: Node, version: str) -> list[Check]:
    """Return the findings about one node, up to the first that does not hold."""
    begin = time.monotonic()
    findings: list[Check] = []
    try:
        with node.connect() as client:
            client.status()
            findings.append(_passed(node, "answers", "reachable", begin))
            info = client.info()
            findings.append(_passed(node, "is ours and takes the token", f"version {info.version}", begin))
            answer = client.check(CheckRequest(protocol=PROTOCOL, version=version, users=0))
            findings += [_named(node, check) for check in answer.checks]
    except NodeError as error:
        findings.append(Check(name=f"node {node.name}", ok=False, detail=str(error), hint=str(error)))
    return findings


def _passed(node: Node, name: str, detail: str, begin: float) -> Check:
    return Check(name=f"node {node.name} {name}", ok=True, detail=detail, seconds=time.monotonic() - begin)


def _named(node: Node, check: Check) -> Check:
    check.name = f"node {node.name}: {check.name}"
    check.hint = check.hint and f"node {node.name}: {check.hint}"
    return check
