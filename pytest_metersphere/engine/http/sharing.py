"""Connections that users share, for servers that must not see one from each of them."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from pytest_metersphere.engine.http.call import Call
from pytest_metersphere.engine.http.faults import Fault, out_of_time
from pytest_metersphere.engine.http.target import Origin

_GLANCE = 0.1
C = TypeVar("C")
P = TypeVar("P", asyncio.Semaphore, threading.Semaphore)


class Shared(Generic[C, P]):
    """The connections of those users that share them.

    A permit is held while a connection is used or opened, so there are never more than permits.

    Attributes:
        free: connections that wait, by server.
        users: how many users share them.
    """

    def __init__(self, new_permits: Callable[[], P], forget: Callable[[], object]) -> None:
        self.free: dict[Origin, list[C]] = {}
        self.users = 0
        self._new_permits: Callable[[], P] = new_permits
        self._forget = forget
        self._permits: dict[Origin, P] = {}
        self._lock = threading.Lock()

    def permits(self, origin: Origin) -> P:
        """Return the permits for a server."""
        with self._lock:
            if origin not in self._permits:
                self._permits[origin] = self._new_permits()
            return self._permits[origin]

    def join(self) -> None:
        """Count a user in."""
        with self._lock:
            self.users += 1

    def leave(self) -> list[C]:
        """Count a user out; the last one is given the connections, to close them."""
        with self._lock:
            self.users -= 1
            if self.users:
                return []
            self._forget()
            return [connection for free in self.free.values() for connection in free]


_on_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, Any]]
_on_loops = weakref.WeakKeyDictionary()
_in_threads: dict[Hashable, Any] = {}
_lock = threading.Lock()


def shared_on_loop(connections: int) -> Shared[Any, asyncio.Semaphore]:
    """Return what users of the running event loop share that name this number."""
    known = _on_loops.setdefault(asyncio.get_running_loop(), {})
    return _joined(known, checked(connections), lambda: asyncio.Semaphore(connections))


def shared_in_threads(connections: int) -> Shared[Any, threading.Semaphore]:
    """Return what users with threads share that name this number."""
    return _joined(_in_threads, checked(connections), lambda: threading.Semaphore(connections))


def _joined(known: dict[Hashable, Any], connections: int, new_permits: Callable[[], P]) -> Shared[Any, P]:
    with _lock:
        shared: Shared[Any, P] | None = known.get(connections)
        if shared is None:
            shared = known[connections] = Shared(new_permits, lambda: known.pop(connections, None))
        shared.join()
        return shared


def checked(connections: int) -> int:
    """Return a number of connections.

    Raises:
        TypeError: it is none.
    """
    if isinstance(connections, bool) or not isinstance(connections, int) or connections < 1:
        raise TypeError(f"connections={connections!r}: give a number of 1 or more, for example connections=4")
    return connections


async def permit_on_loop(permits: asyncio.Semaphore, call: Call) -> None:
    """Wait for a permit.

    Raises:
        Fault: none was free in time.
    """
    try:
        async with asyncio.timeout(call.deadline - time.monotonic()):
            await permits.acquire()
    except TimeoutError:
        raise _none_free(call) from None


def permit_in_thread(permits: threading.Semaphore, call: Call, gone: Callable[[], bool]) -> None:
    """Wait for a permit, or until the user must go.

    Raises:
        Fault: none was free in time.
    """
    while not permits.acquire(timeout=_GLANCE):
        if gone() or time.monotonic() >= call.deadline:
            raise _none_free(call)


def _none_free(call: Call) -> Fault:
    return out_of_time("total", call.limits.total)
