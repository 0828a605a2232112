"""Names and their addresses, kept for a while for all users of the process."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from itertools import zip_longest
from typing import Any, NamedTuple

from pytest_metersphere.engine.http.faults import Fault, out_of_time, unknown_host
from pytest_metersphere.engine.http.target import is_address

KEPT = 30.0
"""Seconds for which an answer of the resolver is used again."""
_MOST_NAMES = 1000
_GLANCE = 0.1


class Address(NamedTuple):
    """Where a socket connects to."""

    family: int
    place: Any


_known: dict[tuple[str, int], tuple[list[Address], float]] = {}
_asked: dict[tuple[asyncio.AbstractEventLoop, str, int], asyncio.Future[list[Address]]] = {}
_lookups: dict[tuple[str, int], _Lookup] = {}
_lock = threading.Lock()


def forget() -> None:
    """Ask the resolver anew from now on."""
    _known.clear()


def addresses_at_hand(host: str, port: int) -> list[Address] | None:
    """Return the addresses of a host that is one itself, or was looked up lately."""
    kept = _known.get((host, port))
    if kept is not None and kept[1] > time.monotonic():
        return kept[0]
    return _look_up(host, port) if is_address(host) else None


async def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of a host; many who ask at once make one query.

    Raises:
        Fault: nobody knows it.
    """
    found = addresses_at_hand(host, port)
    if found is not None:
        return found
    loop = asyncio.get_running_loop()
    key = (loop, host, port)
    query = _asked.get(key)
    if query is None:
        query = _asked[key] = loop.run_in_executor(None, _look_up, host, port)
        query.add_done_callback(lambda done: _answered(key, done))
    return await asyncio.shield(query)


def resolve_blocking(host: str, port: int, seconds: float, gone: Callable[[], bool]) -> list[Address]:
    """Return the addresses of a host; gives up after `seconds`, or when the user is `gone`.

    Raises:
        Fault: nobody knows it, or nobody says in time.
    """
    found = addresses_at_hand(host, port)
    if found is not None:
        return found
    key = (host, port)
    with _lock:
        lookup = _lookups.get(key)
        if lookup is None:
            lookup = _lookups[key] = _Lookup(host, port)
            threading.Thread(target=lookup.run, name=f"look up {host}", daemon=True).start()
    until = time.monotonic() + seconds
    while not lookup.done.wait(_GLANCE):
        if gone() or time.monotonic() >= until:
            raise out_of_time("connect", seconds)
    if lookup.fault is not None:
        raise Fault(lookup.fault.kind, lookup.fault.reason)
    return lookup.addresses


class _Lookup:
    """One query, in a thread of its own because it cannot be interrupted."""

    def __init__(self, host: str, port: int) -> None:
        self.done = threading.Event()
        self.addresses: list[Address] = []
        self.fault: Fault | None = None
        self._key = (host, port)

    def run(self) -> None:
        try:
            self.addresses = _look_up(*self._key)
        except Fault as fault:
            self.fault = fault
        with _lock:
            _lookups.pop(self._key, None)
        self.done.set()


def _answered(key: tuple[asyncio.AbstractEventLoop, str, int], query: asyncio.Future[list[Address]]) -> None:
    _asked.pop(key, None)
    if not query.cancelled():
        query.exception()


def _look_up(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise unknown_host(host) from None
    addresses = _alternating([Address(family, place) for family, _, _, _, place in found])
    if len(_known) >= _MOST_NAMES:
        _known.clear()
    _known[host, port] = (addresses, time.monotonic() + KEPT)
    return addresses


def _alternating(addresses: list[Address]) -> list[Address]:
    """Let the families take turns, so that one that is not routed costs one attempt (RFC 8305, 4)."""
    if not addresses:
        return []
    first = [address for address in addresses if address.family == addresses[0].family]
    others = [address for address in addresses if address.family != addresses[0].family]
    pairs = zip_longest(first, others)
    return [address for pair in pairs for address in pair if address is not None]
