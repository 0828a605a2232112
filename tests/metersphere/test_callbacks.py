"""The server that stock JMeter containers call: what it tells to whom, and what it makes of others."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from pytest_metersphere.dist.metersphere import callbacks as module
from pytest_metersphere.dist.metersphere.callbacks import MAX_HEAD, Callbacks, address_towards
from pytest_metersphere.errors import PreflightError
from tests.fakes.nodes import eventually


class Container:
    """A guest that notes what it is asked."""

    def __init__(self) -> None:
        self.report_id = "ms-1"
        self.index = 3
        self.content: bytes | None = b"PK test data"
        self.at_gate = 0
        self.went = threading.Event()
        self._gate = asyncio.Event()

    def package(self) -> bytes | None:
        return self.content

    def missing(self) -> int:
        return 2

    async def pass_gate(self) -> bytes:
        self.at_gate += 1
        try:
            await self._gate.wait()
        except asyncio.CancelledError:
            self.at_gate -= 1
            raise
        return b"shut=false"

    def passed(self) -> None:
        self.went.set()

    def open(self) -> None:
        self._gate.set()


class Served:
    """A server with one guest."""

    def __init__(self) -> None:
        self.callbacks = Callbacks()
        self.container = Container()
        self.port = self.callbacks.listen("127.0.0.1")
        self.secret = self.callbacks.admit(self.container)

    def connect(self) -> socket.socket:
        """Return a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def raw(self, data: bytes) -> bytes:
        """Return everything that is answered to some bytes."""
        with self.connect() as sock:
            sock.sendall(data)
            return everything(sock)

    def is_full(self) -> bool:
        """Return whether a connection is closed without an answer."""
        try:
            return self.get(f"/{self.secret}/jmeter/ping") == b""
        except ConnectionError:
            return True

    def get(self, path: str) -> bytes:
        """Return the whole answer to a request."""
        return self.raw(f"GET {path} HTTP/1.1\r\nHost: here\r\nUser-Agent: Wget\r\n\r\n".encode())


def everything(sock: socket.socket) -> bytes:
    """Return all that comes until the end."""
    found = b""
    while piece := sock.recv(1 << 16):
        found += piece
    return found


@pytest.fixture
def served() -> Iterator[Served]:
    """Return a server."""
    made = Served()
    yield made
    made.callbacks.close()


def test_what_the_contract_says(served: Served) -> None:
    """Ping is an envelope, a download all bytes of a zip, ready a bare number."""
    base = f"/{served.secret}/jmeter"
    query = "testId=t&resourceId=r&ratio=1.00&reportId=ms-1&resourceIndex=3"

    assert served.get(f"{base}/ping").endswith(b'\r\n\r\n{"success":true,"message":null,"data":"PONG"}')
    download = served.get(f"{base}/download?{query}")
    assert download.startswith(b"HTTP/1.1 200 OK\r\n")
    assert download.endswith(b"\r\n\r\nPK test data")
    assert served.get(f"{base}/ready?ratio=1.00&resourceIndex=3&reportId=ms-1").endswith(b"\r\n\r\n2")
    assert served.raw(f"GET {base}/ready HTTP/1.0\r\n\r\n".encode()).endswith(b"\r\n\r\n2")


def test_a_large_download(served: Served) -> None:
    """It is sent whole, also to who reads slowly at first."""
    served.container.content = bytes(range(256)) * 40_000
    with served.connect() as sock:
        sock.sendall(f"GET /{served.secret}/jmeter/download HTTP/1.1\r\n\r\n".encode())
        assert sock.recv(1) == b"H"
        assert everything(sock).endswith(served.container.content)


def test_strangers_get_nothing(served: Served) -> None:
    """Without the secret, with another report or index, or too late: an empty 404, the same for all."""
    secret, query = served.secret, "reportId=ms-1&resourceIndex=3"
    paths = [
        "/",
        "/jmeter/ping",
        f"/jmeter/download?{query}",
        f"/{secret[:-1]}/jmeter/download?{query}",
        f"/{secret}x/jmeter/download?{query}",
        f"/{secret.lower()}/jmeter/download?{query}" if secret != secret.lower() else "/x/jmeter/ping",
        f"/x/../{secret}/jmeter/download?{query}",
        f"//{secret}/jmeter/download?{query}",
        f"/{secret}/jmeter/download?reportId=ms-2&resourceIndex=3",
        f"/{secret}/jmeter/download?reportId=ms-1&resourceIndex=4",
        f"/{secret}/jmeter/download/?{query}",
        f"/{secret}/jmeter/",
        f"/{secret}/etc/passwd",
    ]
    answers = {served.get(path) for path in paths}
    served.container.content = None
    answers.add(served.get(f"/{secret}/jmeter/download?{query}"))
    served.callbacks.dismiss(secret)
    answers.add(served.get(f"/{secret}/jmeter/ping"))

    (answer,) = answers
    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert answer.endswith(b"Content-Length: 0\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /x HTTP/1.1\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /x\r\n\r\n",
        b"GET /x HTTP/9.9\r\n\r\n",
        b"GET x HTTP/1.1\r\n\r\n",
        b"GET http://elsewhere/ HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
        "GET /ü HTTP/1.1\r\n\r\n".encode(),
        b"GET /x?" + b"&".join(b"a%d=1" % number for number in range(200)) + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request(served: Served, request_: bytes) -> None:
    """It is refused, and the server goes on."""
    assert served.raw(request_).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"PONG" in served.get(f"/{served.secret}/jmeter/ping")


def test_a_request_without_an_end(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that is too long, or does not come, ends with the connection."""
    monkeypatch.setattr(module, "HEAD_LIMIT", 0.3)

    assert served.raw(b"GET /" + b"x" * (2 * MAX_HEAD)) == b""
    assert served.raw(b"GET /x HTTP/1.1\r\n") == b""
    assert served.raw(b"") == b""
    assert b"PONG" in served.get(f"/{served.secret}/jmeter/ping")


def test_many_connections(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit they are closed at once; when others have gone, all is as before."""
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 5)
    held = [served.connect() for _ in range(5)]
    eventually(served.is_full, "a closed connection")
    for sock in held:
        sock.close()

    eventually(lambda: not served.is_full(), "an answer")


def test_the_gate(served: Served) -> None:
    """Whoever asks waits until go, and hears the word that lets JMeter go on."""
    with served.connect() as sock:
        sock.sendall(f"GET /{served.secret}/jmeter/gate?a=1&reportId=ms-1 HTTP/1.1\r\n\r\n".encode())
        eventually(lambda: served.container.at_gate == 1, "somebody at the gate")
        assert not served.container.went.is_set()
        served.callbacks.call(served.container.open)
        assert everything(sock).endswith(b"\r\n\r\nshut=false")
    assert served.container.went.wait(5)


def test_who_leaves_the_gate(served: Served) -> None:
    """A JMeter that has died does not wait there any more."""
    sock = served.connect()
    sock.sendall(f"GET /{served.secret}/jmeter/gate HTTP/1.1\r\n\r\n".encode())
    eventually(lambda: served.container.at_gate == 1, "somebody at the gate")
    sock.close()

    eventually(lambda: served.container.at_gate == 0, "nobody at the gate")
    assert not served.container.went.is_set()


def test_the_end_of_the_server(served: Served) -> None:
    """Who waits at a gate then finds the connection closed, without the word."""
    with served.connect() as sock:
        sock.sendall(f"GET /{served.secret}/jmeter/gate HTTP/1.1\r\n\r\n".encode())
        eventually(lambda: served.container.at_gate == 1, "somebody at the gate")
        begin = time.monotonic()
        served.callbacks.close()
        assert everything(sock) == b""
        assert time.monotonic() - begin < 15
    served.callbacks = Callbacks()


def test_the_end_of_the_server_as_somebody_comes(caplog: pytest.LogCaptureFixture) -> None:
    """However far the connection is by then, it is closed, and nothing is complained of."""
    for round_ in range(50):
        served = Served()
        with contextlib.ExitStack() as stack:
            socks = [stack.enter_context(served.connect()) for _ in range(3)]
            if round_ % 2:
                socks[0].sendall(b"GET /")
            served.callbacks.close()
            for sock in socks:
                with contextlib.suppress(ConnectionResetError):
                    assert sock.recv(1) == b""
    gc.collect()

    assert not caplog.records


def test_addresses(served: Served) -> None:
    """An address is listened on once; one that is not ours, or a port that is taken, is told."""
    assert served.callbacks.listen("127.0.0.1") == served.port
    assert served.callbacks.listen("127.0.0.2") != 0
    with pytest.raises(PreflightError, match=r"192\.0\.2\.1 port of its choice cannot be listened on"):
        served.callbacks.listen("192.0.2.1")
    with pytest.raises(PreflightError, match=f"port {served.port} cannot be listened on") as error:
        served.callbacks.listen("127.0.0.1", served.port)
    assert str(error.value).endswith("; choose another with --ms-callback=HOST:PORT")
    assert address_towards("127.0.0.1", 8082) == "127.0.0.1"
    assert address_towards("127.0.0.9", 8082).startswith("127.0.0.")


def has_ipv6() -> bool:
    """Return whether this machine has an address of IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_all_addresses(served: Served) -> None:
    """With no address of its own it listens on one port, by IPv4 and, where there is that, by IPv6."""
    port = served.callbacks.listen("")
    assert served.callbacks.listen("") == port
    hosts = ["127.0.0.1", *(["::1"] if has_ipv6() else [])]
    for host in hosts:
        with socket.create_connection((host, port), timeout=20) as sock:
            sock.sendall(f"GET /{served.secret}/jmeter/ping HTTP/1.1\r\n\r\n".encode())
            assert b"PONG" in everything(sock)


def test_all_addresses_without_ipv6(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of IPv4 are enough."""
    monkeypatch.setattr(module, "_ANY_6", "192.0.2.1")
    port = served.callbacks.listen("")
    with socket.create_connection(("127.0.0.1", port), timeout=20):
        assert port != served.port


def test_all_addresses_where_a_port_is_half_taken(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is asked for is refused, and nothing of it is kept; else another one is found."""
    with socket.socket() as sock:
        # stands for somebody who has the port by IPv6 only
        sock.bind(("127.0.0.3", 0))
        sock.listen()
        taken = sock.getsockname()[1]
        monkeypatch.setattr(module, "_ANY_4", "127.0.0.2")
        monkeypatch.setattr(module, "_ANY_6", "127.0.0.3")
        with pytest.raises(PreflightError, match=f"this machine port {taken} cannot be listened on"):
            served.callbacks.listen("", taken)
        assert served.callbacks.listen("127.0.0.2", taken) == taken
        assert served.callbacks.listen("") not in (0, taken)
