"""Names that stand for several nodes, and how long they may take to say which."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from pytest_metersphere.dist import resolve
from pytest_metersphere.dist.pool import NodeSpec, parse_pool
from pytest_metersphere.dist.resolve import addresses_of, is_address, resolved
from pytest_metersphere.errors import PreflightError

NAMES = {"nodes.load.svc": ["10.0.0.3", "10.0.0.4"], "other": ["10.0.0.4"], "six": ["fd00::1"]}


def look_up(host: str) -> list[str]:
    """Return the addresses of the names of these tests."""
    if host not in NAMES:
        raise PreflightError(f"the name {host!r} cannot be resolved")
    return NAMES[host]


def nodes_of(text: str) -> list[NodeSpec]:
    """Return the nodes that a pool text comes to."""
    return list(resolved(parse_pool(text, {}), look_up).nodes)


def test_each_address_is_a_node() -> None:
    """Port and capacity are those written, names are numbered."""
    assert nodes_of("dns+nodes.load.svc:9000=1000") == [
        NodeSpec(name=f"nodes.load.svc-{number}", host=host, port=9000, capacity=1000)
        for number, host in ((1, "10.0.0.3"), (2, "10.0.0.4"))
    ]


def test_a_name_before_it_names_the_nodes() -> None:
    """`k8s@dns+…` makes k8s-1, k8s-2; other nodes stay as they are, and where they are."""
    found = nodes_of("first@10.0.0.1=5,k8s@dns+nodes.load.svc=7,local=3,dns+six=2")

    assert [(node.name, node.host) for node in found] == [
        ("first", "10.0.0.1"),
        ("k8s-1", "10.0.0.3"),
        ("k8s-2", "10.0.0.4"),
        ("local-1", "127.0.0.1"),
        ("six-1", "fd00::1"),
    ]


def test_a_pool_without_such_names_is_not_looked_up() -> None:
    """Nobody is asked about plain host names, which may be known to a proxy alone."""
    pool = parse_pool("unknown=5,local=400", {})

    assert resolved(pool, look_up) == pool


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            "dns+nodes.load.svc=1,dns+other=1",
            ["10.0.0.4:8082 as other-1", "10.0.0.4:8082 as nodes.load.svc-2"],
        ),
        (
            "10.0.0.3=1,dns+nodes.load.svc=1",
            ["10.0.0.3:8082 as nodes.load.svc-1", "10.0.0.3:8082 as 10.0.0.3"],
        ),
        ("a-1@b=1,a@dns+other=1", ["10.0.0.4:8082 as a-1", "b:8082 as a-1"]),
    ],
)
def test_a_node_that_is_there_twice_is_told(text: str, names: list[str]) -> None:
    """Two names for one machine would give it twice its share."""
    with pytest.raises(PreflightError) as caught:
        nodes_of(text)

    assert all(name in str(caught.value) for name in names), str(caught.value)


def test_the_same_address_may_have_nodes_on_several_ports() -> None:
    """A node is an address and a port."""
    assert len(nodes_of("dns+other:1=1,dns+nodes.load.svc:2=1")) == 3


def test_a_name_without_addresses_is_told_with_the_node() -> None:
    """The error names the piece of the pool."""
    with pytest.raises(
        PreflightError, match=r"^pool node dns\+nowhere:8082: the name 'nowhere' cannot be resolved"
    ):
        nodes_of("dns+nowhere=5")


def answering(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let the resolver give these addresses for any name."""

    def getaddrinfo(host: str, port: None, **_more: object) -> Iterator[tuple[object, ...]]:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            yield family, socket.SOCK_STREAM, 6, "", (address, 0)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["10.0.0.10", "10.0.0.9", "10.0.0.10"], ["10.0.0.9", "10.0.0.10"]),
        (["fd00::2", "10.0.0.1", "fd00::1"], ["10.0.0.1"]),
        (["fd00::2", "fd00::1"], ["fd00::1", "fd00::2"]),
        (["fe80::1%eth0"], ["fe80::1"]),
    ],
    ids=["ascending by number", "one kind only", "IPv6", "with a zone"],
)
def test_addresses_come_once_and_in_order(
    monkeypatch: pytest.MonkeyPatch, given: list[str], found: list[str]
) -> None:
    """A machine with addresses of both kinds is one machine."""
    answering(monkeypatch, *given)

    assert addresses_of("name") == found


@pytest.mark.parametrize("host", ["a..b", "x" * 300])
def test_what_cannot_be_a_name_is_an_error(host: str) -> None:
    """Errors of the resolver's own become ours."""
    with pytest.raises(PreflightError, match="cannot be resolved"):
        addresses_of(host)


def test_a_resolver_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DNS server that is gone does not hold the preflight up."""
    over = threading.Event()
    monkeypatch.setattr(resolve, "LOOKUP_LIMIT", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: over.wait(20) and [])
    try:
        with pytest.raises(
            PreflightError, match="'slow' was not resolved within 100 ms: check the DNS server"
        ):
            addresses_of("slow")
    finally:
        over.set()


def test_addresses_are_told_from_names() -> None:
    """Only names are looked up."""
    assert [is_address(host) for host in ("10.0.0.1", "::1", "localhost", "10.0.0")] == [
        True,
        True,
        False,
        False,
    ]
