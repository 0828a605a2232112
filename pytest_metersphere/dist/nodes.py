"""A node that can be spoken to, and speaking to many at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pytest_metersphere.dist.client import NodeClient

MAX_THREADS = 128
"""Nodes that are spoken to at the same moment; each waits for its answer in a thread."""
T = TypeVar("T")
S = TypeVar("S")


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A node that can be spoken to.

    Attributes:
        name: its name in the pool.
        host: host name or address, without brackets.
        url: `http://host:port` or `https://host:port`.
        capacity: what the pool says of it, None when it is to say so itself.
        loopback: only this machine can reach it.
        cafile: file of the certificates that vouch for it, None for plain HTTP.
    """

    name: str
    host: str
    url: str
    token: str = dataclasses.field(repr=False)
    capacity: int | None
    loopback: bool
    cafile: str | None = None

    def connect(self) -> NodeClient:
        """Return a new client of the node, for use in one thread."""
        return NodeClient(self.name, self.url, self.token, self.cafile)


def in_parallel(work: Callable[[S], T], subjects: Sequence[S]) -> list[T]:
    """Do the same with all subjects at once and return the results in order; the first error is raised."""
    if not subjects:
        return []
    with ThreadPoolExecutor(min(MAX_THREADS, len(subjects))) as pool:
        return list(pool.map(work, subjects))
