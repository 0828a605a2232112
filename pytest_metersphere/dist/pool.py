"""Pools: which nodes there are, as users write them down."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from pytest_metersphere.errors import ConfigError, did_you_mean
from pytest_metersphere.units import MAX_USERS

DEFAULT_PORT = 8082
LOCAL = "local"
_DNS = "dns+"
_LOOPBACK = "127.0.0.1"
_EXAMPLE = "10.0.0.11=4000,10.0.0.12:9000=2000"
_LINE_EXAMPLE = "perf: 10.0.0.11=4000 10.0.0.12:9000=2000"
_POOL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HOST_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")
_ADDRESS = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?")


class NodeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One node as it was written down.

    Attributes:
        name: unique in the pool; without a name of its own `host:port`, a local one `local-1` and so on,
            one for every address `dns+host:port`.
        host: host name, IPv4 address, or IPv6 address without brackets.
        port: TCP port; 0 for a local node, whose port is known once it runs.
        capacity: users that it may carry, None when the node itself is to say.
        local: it is started by this session, on loopback.
        every_address: it stands for one node at each address of the host (`dist.resolve`).
    """

    name: str
    host: str
    port: int
    capacity: int | None = None
    local: bool = False
    every_address: bool = False


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes of a session.

    Attributes:
        name: the pool's name, or the text when the nodes were written inline.
        nodes: at least one, in the order listed.
    """

    name: str
    nodes: tuple[NodeSpec, ...]

    @property
    def is_local(self) -> bool:
        """Return whether every node is started by this session."""
        return all(node.local for node in self.nodes)


def parse_pools(lines: Iterable[str]) -> dict[str, str]:
    """Return the node texts of the pools in ini `ms_pools` by name, one `name: node node …` per line.

    The nodes are looked at when the pool is used.

    Raises:
        ConfigError: a line without a name or nodes, a bad name, a name given twice, `local` or `none`.
    """
    pools: dict[str, str] = {}
    for line in lines:
        name, colon, spec = (part.strip() for part in line.partition(":"))
        if not colon or not spec or not _POOL_NAME.fullmatch(name):
            raise ConfigError(f"ini ms_pools: {line!r} is not a pool, write for example {_LINE_EXAMPLE}")
        if name in (LOCAL, "none"):
            raise ConfigError(
                f"ini ms_pools: {line!r} takes {name!r}, which has a meaning of its own; rename it"
            )
        if name in pools:
            raise ConfigError(f"ini ms_pools: the pool {name!r} is there twice, {pools[name]!r} and {spec!r}")
        pools[name] = spec
    return pools


def parse_pool(text: str, pools: Mapping[str, str], *, source: str = "--ms-pool") -> Pool:
    """Return the pool that a text names or spells out.

    A text with `=`, `:` or `@` in it spells nodes out, any other is a name in `pools` or `local`.

    Args:
        text: what the user wrote, `perf`, `local=400+200` or `10.0.0.11=4000,b@10.0.0.12:9000`.
        pools: node texts by pool name, as `parse_pools` returns them.
        source: the option, variable or ini key that it was written in, for messages.

    Raises:
        ConfigError: an unknown name, or a node that is not understood; it names the source and the piece.
    """
    name = text.strip()
    if name == LOCAL or re.search(r"[=:@]", name):
        return Pool(name=name, nodes=_nodes(name, source))
    if name in pools:
        return Pool(name=name, nodes=_nodes(pools[name], f"ini ms_pools, pool {name}"))
    raise ConfigError(f"{source}: {_unknown(name, pools)}")


def _unknown(name: str, pools: Mapping[str, str]) -> str:
    if len(pieces := _pieces(name)) > 1:
        spelled = ",".join(piece if piece == LOCAL else f"{piece}:{DEFAULT_PORT}" for piece in pieces)
        return (
            f"{name!r} is not a pool's name; what tells nodes from names is a port or a capacity: {spelled}"
        )
    known = [*pools, LOCAL, "none"]
    return (
        f"there is no pool {name!r} (known: {', '.join(known)}); define it in ini ms_pools, "
        f"{_LINE_EXAMPLE!r}, or spell nodes out with port or capacity: {_EXAMPLE}{did_you_mean(name, known)}"
    )


def _nodes(spec: str, source: str) -> tuple[NodeSpec, ...]:
    try:
        nodes = tuple(node for piece in _pieces(spec) for node in _parse_piece(piece))
        _check(spec, nodes)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    return nodes


def _pieces(spec: str) -> list[str]:
    return [piece for piece in re.split(r"[,\s]+", spec) if piece]


def _parse_piece(piece: str) -> Iterator[NodeSpec]:
    """Yield the node of one piece, or the several ones of `local=400+200`."""
    place, equals, capacity = piece.partition("=")
    if place == LOCAL:
        yield from _local_nodes(piece, capacity if equals else None)
    else:
        yield _remote_node(piece, place, capacity if equals else None)


def _local_nodes(piece: str, capacities: str | None) -> Iterator[NodeSpec]:
    texts = [None] if capacities is None else capacities.split("+")
    for number, text in enumerate(texts, start=1):
        capacity = None if text is None else _capacity(piece, text, "local=500 or local=400+400+200")
        yield NodeSpec(name=f"{LOCAL}-{number}", host=_LOOPBACK, port=0, capacity=capacity, local=True)


def _remote_node(piece: str, place: str, capacity: str | None) -> NodeSpec:
    name, at, address = place.rpartition("@")
    if at and not _NODE_NAME.fullmatch(name):
        raise ConfigError(
            f"{piece!r}: {name!r} is not a node's name (letters, digits, _ . -), "
            f"write for example big@10.0.0.11=4000"
        )
    dns = address.startswith(_DNS)
    host, port = _address(piece, address.removeprefix(_DNS))
    if dns and (":" in host or _is_ipv4(host)):
        raise ConfigError(
            f"{piece!r}: {_DNS} stands before a name, and {host} is an address; write it without"
        )
    return NodeSpec(
        name=name or (f"[{host}]:{port}" if ":" in host else f"{_DNS if dns else ''}{host}:{port}"),
        host=host,
        port=port,
        capacity=None if capacity is None else _capacity(piece, capacity, "10.0.0.11=4000"),
        every_address=dns,
    )


def _address(piece: str, address: str) -> tuple[str, int]:
    if "://" in address:
        raise ConfigError(f"{piece!r}: a node has no scheme, write for example 10.0.0.11:8082=4000")
    if address.count(":") > 1 and not address.startswith("["):
        raise ConfigError(f"{piece!r}: an IPv6 address stands in brackets, for example [fd00::11]:8082=4000")
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise ConfigError(f"{piece!r}: {address!r} is not host and port, write for example 10.0.0.11:8082")
    return _host(piece, found["host"]), _port(piece, found["port"])


def _host(piece: str, host: str) -> str:
    if host.startswith("["):
        return _ipv6(piece, host[1:-1])
    if host.lower() == LOCAL:
        raise ConfigError(
            f"{piece!r}: local nodes have neither name nor port, write local=500 or local=400+200"
        )
    if not host:
        raise ConfigError(f"{piece!r}: the host is missing, write for example 10.0.0.11:8082=4000")
    if host.isdigit():
        raise ConfigError(
            f"{piece!r}: the number {host} is not a host; a capacity stands behind = and without "
            f"separators: 10.0.0.11=4000"
        )
    if not _is_host(host):
        raise ConfigError(f"{piece!r}: {host!r} is not a host, write for example 10.0.0.11:8082=4000")
    return host


def _ipv6(piece: str, host: str) -> str:
    try:
        return str(ipaddress.IPv6Address(host))
    except ValueError:
        raise ConfigError(
            f"{piece!r}: {host!r} is not an IPv6 address, write for example [fd00::11]:8082=4000"
        ) from None


def _is_host(host: str) -> bool:
    labels = host.split(".")
    if all(label.isdigit() for label in labels):
        return _is_ipv4(host)
    return len(host) <= 253 and all(len(label) <= 63 and _HOST_LABEL.fullmatch(label) for label in labels)


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _port(piece: str, text: str | None) -> int:
    if text is None:
        return DEFAULT_PORT
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ConfigError(f"{piece!r}: {text!r} is not a port (1 to 65535), write for example 10.0.0.11:8082")
    return int(text)


def _capacity(piece: str, text: str, example: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise ConfigError(
            f"{piece!r}: {text!r} is not a capacity, a whole number of users from 1 to {MAX_USERS}; "
            f"write for example {example}"
        )
    return int(text)


def _check(spec: str, nodes: tuple[NodeSpec, ...]) -> None:
    if not nodes:
        raise ConfigError(f"{spec!r} has no node in it, write for example {_EXAMPLE}")
    named: dict[str, NodeSpec] = {}
    addresses: set[tuple[str, int]] = set()
    for node in nodes:
        same = named.setdefault(node.name, node)
        if same is not node and same.local and node.local:
            raise ConfigError("local is there twice, write the capacities of local nodes as local=400+200")
        if not node.local and (node.host.lower(), node.port) in addresses:
            raise ConfigError(f"the node {node.host}:{node.port} is there twice, list it once")
        if same is not node:
            raise ConfigError(f"two nodes are named {node.name!r}, name one of them anew: b@10.0.0.11=4000")
        addresses.add((node.host.lower(), node.port))
