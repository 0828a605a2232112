"""A node that can be spoken to, and speaking to many at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, Self, TypeVar

from pytest_metersphere.dist.client import EncodedBundle, NodeClient
from pytest_metersphere.dist.wire import FrameBatch, NodeInfo, SliceInfo, StartRequest

MAX_THREADS = 128
"""Nodes that are spoken to at the same moment; each waits for its answer in a thread."""
T = TypeVar("T")
S = TypeVar("S")


class SliceClient(Protocol):
    """What a run needs of a node, whichever kind it is; `dist.client.NodeClient` says more of each."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_exc: object) -> None: ...

    def info(self) -> NodeInfo:
        """Return what the node is and holds."""

    def start(self, request: StartRequest, bundle: bytes | EncodedBundle) -> SliceInfo:
        """Start a slice."""

    def state(self, slice_id: str, wait_while: str = "", wait: float = 0.0, limit: float = 0.0) -> SliceInfo:
        """Return how a slice stands."""

    def go(self, slice_id: str) -> SliceInfo:
        """Start the load of a slice that is ready."""

    def stop(self, slice_id: str, grace: float | None = None) -> SliceInfo:
        """End the load."""

    def lease(self, slice_id: str) -> object:
        """Tell a slice that its controller is there."""

    def frames(self, slice_id: str, after: int, wait: float) -> FrameBatch:
        """Return the frames with sequences above `after` that the slice keeps."""

    def log(self, slice_id: str) -> str:
        """Return the last of what the workers of a slice printed."""

    def delete(self, slice_id: str, patience: float = 0.0) -> None:
        """Stop a slice if needed and free everything."""


class AnyNode(Protocol):
    """A node of either kind: one of ours, or a stock MeterSphere one."""

    @property
    def name(self) -> str:
        """Return its name in the pool."""

    @property
    def capacity(self) -> int | None:
        """Return what the pool says of it."""

    @property
    def loopback(self) -> bool:
        """Return whether only this machine can reach it."""

    @property
    def ready_limit(self) -> float | None:
        """Return the seconds that a slice may take to be ready there, None for as long as usual."""

    @property
    def tail(self) -> float:
        """Return the seconds beyond its load that a slice may take there to be told of."""

    @property
    def pulled(self) -> bool:
        """Return whether the frames of its slices are asked for, whatever way those of others come."""

    def rejected(self, run: str) -> int:
        """Return how many records of others claimed to be messages of a run's slices, so far."""

    def connect(self) -> SliceClient:
        """Return a new client of the node, for use in one thread."""


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A node with one of our node-controllers, that can be spoken to.

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

    @property
    def ready_limit(self) -> float | None:
        """Return that a slice may take as long as usual to be ready."""
        return None

    @property
    def tail(self) -> float:
        """Return that it tells of its load at once."""
        return 0.0

    @property
    def pulled(self) -> bool:
        """Return that its frames come as those of the whole run do."""
        return False

    def rejected(self, run: str) -> int:  # noqa: ARG002 - they are spoken to by requests, and nobody else is heard
        """Return that there are none."""
        return 0

    def connect(self) -> NodeClient:
        """Return a new client of the node, for use in one thread."""
        return NodeClient(self.name, self.url, self.token, self.cafile)


def in_parallel(work: Callable[[S], T], subjects: Sequence[S]) -> list[T]:
    """Do the same with all subjects at once and return the results in order; the first error is raised.

    Nothing is under way any more then, except after an interrupt, which is not kept waiting by anybody.
    """
    if not subjects:
        return []
    pool = ThreadPoolExecutor(min(MAX_THREADS, len(subjects)))
    patient = True
    try:
        return list(pool.map(work, subjects))
    except KeyboardInterrupt:
        patient = False
        raise
    finally:
        pool.shutdown(wait=patient, cancel_futures=True)
