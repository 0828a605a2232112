"""What names of hosts stand for: the addresses behind them, looked up within a time limit."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable, Iterator

import msgspec

from pytest_metersphere.dist.pool import NodeSpec, Pool
from pytest_metersphere.errors import PreflightError
from pytest_metersphere.units import format_duration

LOOKUP_LIMIT = 5.0
"""Seconds that a name may take; a resolver that has no server left takes far longer by itself."""

Lookup = Callable[[str], list[str]]


def addresses_of(host: str) -> list[str]:
    """Return the addresses of a host, its IPv4 ones if it has any, ascending.

    Only one kind: a host with addresses of both kinds is still one machine.

    Raises:
        PreflightError: there are none, or nobody could say within LOOKUP_LIMIT.
    """
    outcome: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()
    threading.Thread(target=_look_up, args=(host, outcome), name=f"dns-{host}", daemon=True).start()
    try:
        found = outcome.get(timeout=LOOKUP_LIMIT)
    except queue.Empty:
        limit = format_duration(LOOKUP_LIMIT)
        raise PreflightError(
            f"the name {host!r} was not resolved within {limit}: check the DNS server"
        ) from None
    if not isinstance(found, list):
        why = getattr(found, "strerror", None) or found
        raise PreflightError(
            f"the name {host!r} cannot be resolved: {why}; check its spelling, and DNS"
        ) from None
    return found


def is_address(host: str) -> bool:
    """Return whether a host is an address already."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def resolved(pool: Pool, lookup: Lookup = addresses_of) -> Pool:
    """Return the pool with a node for each address of what is written as `dns+HOST`.

    Such nodes are named HOST-1, HOST-2 and so on, in the order of their addresses.

    Raises:
        PreflightError: a name has no address, or an address is in the pool twice.
    """
    nodes = tuple(node for spec in pool.nodes for node in _expanded(spec, lookup))
    _check(nodes)
    return msgspec.structs.replace(pool, nodes=nodes)


def _expanded(spec: NodeSpec, lookup: Lookup) -> Iterator[NodeSpec]:
    if not spec.every_address:
        yield spec
        return
    try:
        addresses = lookup(spec.host)
    except PreflightError as error:
        raise PreflightError(f"pool node {spec.name}: {error}") from None
    base = spec.host if spec.name.startswith("dns+") else spec.name
    for number, address in enumerate(addresses, start=1):
        yield msgspec.structs.replace(spec, name=f"{base}-{number}", host=address, every_address=False)


def _check(nodes: tuple[NodeSpec, ...]) -> None:
    known: dict[object, NodeSpec] = {}
    for node in nodes:
        marks: list[object] = [node.name] if node.local else [node.name, (node.host.lower(), node.port)]
        for mark in marks:
            same = known.setdefault(mark, node)
            if same is not node:
                raise PreflightError(
                    f"the pool has {node.host}:{node.port} as {node.name} and {same.host}:{same.port} as"
                    f" {same.name}: each node may be in it once, under a name of its own"
                )


def _look_up(host: str, outcome: queue.SimpleQueue[list[str] | OSError | UnicodeError]) -> None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        outcome.put(error)
        return
    addresses = {ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}
    chosen = [address for address in addresses if address.version == 4] or addresses
    outcome.put([str(address) for address in sorted(chosen, key=int)])
