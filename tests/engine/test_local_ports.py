"""The local ports of connections: taken from small parts of the range, so that the kernel finds one soon."""

from __future__ import annotations

import itertools
import socket
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_metersphere.engine.http import ports
from tests.engine.browsers import Browser
from tests.engine.server import WebServer

PORTS = st.integers(1, 65535)


def _ends(part: bytes) -> tuple[int, int]:
    (both,) = struct.unpack("=I", part)
    return both & 0xFFFF, both >> 16


@given(PORTS, PORTS)
def test_parts_cover_the_range(one: int, other: int) -> None:
    """The parts are the whole range, each port in one of them; a short range has none."""
    low, high = sorted((one, other))
    parts = [_ends(part) for part in ports.parts_of(low, high)]

    assert bool(parts) == (high - low + 1 >= 512)
    covered = [port for begin, end in parts for port in range(begin, end + 1)]
    assert covered == (list(range(low, high + 1)) if parts else [])


@pytest.fixture
def door() -> socket.socket:
    """Return a socket that listens."""
    return socket.create_server(("127.0.0.1", 0))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not know the option")
def test_the_port_is_from_the_part(door: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that was narrowed down gets a port of its part, where the kernel knows the option."""
    low, high = 40_000, 40_063
    monkeypatch.setattr(ports, "_parts", lambda: itertools.cycle([struct.pack("=I", low | high << 16)]))
    with door, socket.socket() as sock:
        if not ports.narrow(sock):
            pytest.skip("this kernel is older than 6.3")
        sock.connect(door.getsockname())
        assert low <= sock.getsockname()[1] <= high


def test_a_full_part_is_no_failure(
    browser: Browser, server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When all ports of the parts that were tried are taken, the connection is made from another port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        parts = iter([struct.pack("=I", port | port << 16)] * 9)
        monkeypatch.setattr(ports, "_parts", lambda: parts)
        assert browser.get(f"{server.url}/echo").status_code == 200

    left = len(list(parts))
    assert left in (8, 9 - ports.TRIES)  # one was tried where the kernel does not know the option


def test_without_parts(browser: Browser, server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """On systems that do not tell their range, ports are chosen by the system."""
    monkeypatch.setattr(ports, "_parts", lambda: None)
    assert browser.get(f"{server.url}/echo").status_code == 200
