"""Connections to addresses that are no broker's: which of them is told of, and as what."""

from __future__ import annotations

import socket

import pytest

from pytest_metersphere.dist.kafka.dialling import Address, UnfitError, connect, on_port, resolve
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.inspection.scene import scene_of
from pytest_metersphere.inspection.values import HostStatus, ServerStatus
from tests.fakes.listeners import dropping_port, keeps_silent, listener
from tests.fakes.nodes import free_port

WITHOUT_INTERFACE: Address = ("fe80::1", 9092, 0, 0)
"""A link-local address that does not say on which network it is: the system refuses to try it."""


def test_an_address_keeps_its_interface() -> None:
    """Link-local ones lead nowhere without it; another port of one is on the same interface."""
    number, name = socket.if_nameindex()[0]
    place = f"[fe80::1%{name}]:9092"
    (address,) = resolve(place, f"fe80::1%{name}", 9092)

    assert address == ("fe80::1", 9092, 0, number)
    assert on_port(address, 22) == ("fe80::1", 22, 0, number)
    assert on_port(("127.0.0.1", 9092), 22) == ("127.0.0.1", 22)


def test_what_the_system_refuses_to_try_was_not_dropped() -> None:
    """It is unreachable, for the system's own reason."""
    with pytest.raises(UnfitError, match=r"there is no way to it from this machine \(\w+") as caught:
        connect("here", [WITHOUT_INTERFACE])

    assert caught.value.kind == "unreachable"


def test_the_address_that_could_be_tried_is_told_of() -> None:
    """Whatever the order: that a machine has no IPv6 says nothing about the broker."""
    refusing: Address = ("127.0.0.1", free_port())
    for addresses in ([refusing, WITHOUT_INTERFACE], [WITHOUT_INTERFACE, refusing]):
        with pytest.raises(UnfitError) as caught:
            connect("here", addresses)
        assert caught.value.kind == "refused"


def _scene_at(port: int, state: str, *addresses: str) -> str:
    """Return which address of a name with several is looked at, when the server is in a state."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port)) for address in addresses]
    server = ServerStatus(address=f"two.invalid:{port}", state=state, ok=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)
        return scene_of(KafkaAccess(servers=(server.address,)), server, HostStatus(docker=None)).address


def test_of_several_addresses_the_one_that_is_told_of_is_looked_at() -> None:
    """The one that drops, refuses or takes the connection, as the state says; not simply the first."""
    with dropping_port() as port:
        assert _scene_at(port, "dropped", "127.0.0.2", "127.0.0.1") == "127.0.0.1"
        assert _scene_at(port, "dropped", "127.0.0.1", "127.0.0.2") == "127.0.0.1"
        assert _scene_at(port, "refused", "127.0.0.2", "127.0.0.1") == "127.0.0.2"
    with listener(keeps_silent) as port:
        assert _scene_at(port, "silent", "127.0.0.2", "127.0.0.1") == "127.0.0.1"
