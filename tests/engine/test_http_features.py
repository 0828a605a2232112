"""What vu.http can do beside the ordinary request: bodies, logins, redirects, proxies, names, timings."""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import contextlib
import gzip
import importlib
import io
import socket
import ssl
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
import trustme
from backports import zstd

from pytest_metersphere.engine.failures import ConnectionFailure, Interrupted, RequestTimeout
from pytest_metersphere.engine.http import blocking, coding, names, tls_context
from pytest_metersphere.engine.http import connection as connection_module
from tests.engine.browsers import Browser
from tests.engine.server import Answer, RawServer, SocketServer, WebServer, answering, read_head, wait_until

brotli: Any = importlib.import_module("brotli")  # it has no annotations
HEAD = b"HTTP/1.1 200 OK\r\n"
OK = HEAD + b"Content-Length: 2\r\n\r\nhi"


def _echoed(reply: Any) -> bytes:
    return base64.b64decode(reply.json()["body"])


@pytest.mark.parametrize("verb", ["head", "options"])
def test_more_methods(browser: Browser, server: WebServer, verb: str) -> None:
    """HEAD and OPTIONS have methods of their names."""
    assert browser.verb(verb)(f"{server.url}/echo").status_code == 200
    assert [seen.method for seen in server.seen] == [verb.upper()]


def test_files(browser: Browser, server: WebServer, tmp_path: Path) -> None:
    """`files=` sends a multipart form: contents, names, types, and the fields beside them."""
    (tmp_path / "list.csv").write_text("a,b\n")
    with (tmp_path / "list.csv").open("rb") as file:
        reply = browser.request(
            "POST",
            f"{server.url}/echo",
            data={"user": "ü", "tag": ["x", 2]},
            files={"list": file, "raw": b"\x00\xff", 'odd"\r\n': ("a\r\nb.txt", "text", "text/plain")},
        )

    kind = reply.json()["headers"]["content-type"]
    form = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + _echoed(reply))
    payload: Any = form.get_payload()
    parts = [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get("Content-Type"),
            part.get_payload(decode=True),
        )
        for part in payload
    ]
    assert parts == [
        ("user", None, None, "ü".encode()),
        ("tag", None, None, b"x"),
        ("tag", None, None, b"2"),
        ("list", "list.csv", "text/csv", b"a,b\n"),
        ("raw", "raw", "application/octet-stream", b"\x00\xff"),
        ("odd%22%0D%0A", "a%0D%0Ab.txt", "text/plain", b"text"),
    ]


def _pieces() -> Iterator[bytes]:
    yield b"one "
    yield b""
    yield bytearray(b"two")  # type: ignore[misc]


def _file(tmp_path: Path) -> Any:
    (tmp_path / "f").write_bytes(b"..one two")
    file = (tmp_path / "f").open("rb")
    file.seek(2)
    return file


@pytest.mark.parametrize(
    ("make", "length"),
    [
        (lambda _: _pieces(), None),
        (lambda _: io.BytesIO(b"one two"), "7"),
        (_file, "7"),
        (lambda _: [b"one ", b"two"], None),
    ],
    ids=["iterator", "memory", "file", "list"],
)
def test_streams(
    browser: Browser, server: WebServer, tmp_path: Path, make: Callable[[Path], Any], length: str | None
) -> None:
    """A stream is sent piece by piece: chunked, or with the length that a file has from where it stands."""
    with contextlib.closing(data) if hasattr(data := make(tmp_path), "close") else contextlib.nullcontext():
        reply = browser.request("PUT", f"{server.url}/echo", data=data)

    assert _echoed(reply) == b"one two"
    assert reply.json()["headers"].get("content-length") == length
    assert reply.json()["headers"].get("transfer-encoding") == (None if length else "chunked")
    assert browser.counted.exchanges == 1


def test_large_stream(browser: Browser, server: WebServer) -> None:
    """A stream waits for a server that reads slower than it could be sent."""
    reply = browser.request("POST", f"{server.url}/echo", data=(b"x" * 65536 for _ in range(15)))

    assert len(_echoed(reply)) == 15 * 65536


def test_asynchronous_stream(coroutine_browser: Browser, server: WebServer) -> None:
    """An async iterator is a stream, too."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        await asyncio.sleep(0.01)
        yield b"two"

    assert _echoed(coroutine_browser.request("POST", f"{server.url}/echo", data=pieces())) == b"one two"


def test_stream_that_fails(browser: Browser, server: WebServer) -> None:
    """What the scenario's own stream raises is a failed sample, and its exchange is counted."""

    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise LookupError("no more")

    with pytest.raises(LookupError):
        browser.request("POST", f"{server.url}/echo", data=pieces())

    assert browser.failure == ("POST /echo", "exception", "LookupError: no more")
    assert browser.counted.exchanges == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"json": 1, "data": b""}, "exclude each other"),
        ({"json": 1, "files": {"a": b""}}, "exclude each other"),
        ({"data": 5}, "data=5: give bytes"),
        ({"data": b"", "files": {"a": b""}}, "mapping of the form"),
        ({"params": "a=b"}, "params='a=b': give a mapping"),
        ({"headers": "A: b"}, "headers='A: b': give a mapping"),
        ({"headers": {"A": None}}, "header A: None is no text"),
        ({"auth": 5}, "auth=: give"),
        ({"timeout": {"connect": 0}}, "timeout=0: give"),
        ({"timeout": {"wait": 1}}, "give connect, read, total"),
        ({"timeout": {}}, "give connect, read, total"),
    ],
    ids=str,
)
def test_more_bad_arguments(browser: Browser, options: dict[str, Any], message: str) -> None:
    """A mistake in the call is a TypeError that says what to write; nothing is counted."""
    with pytest.raises(TypeError, match=message):
        browser.request("POST", "http://127.0.0.1:1/", **options)

    assert browser.counted.requests == 0


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
def test_framing_is_not_the_scenarios(browser: Browser, name: str) -> None:
    """The length of a body cannot be lied about."""
    with pytest.raises(ValueError, match="sets it by itself"):
        browser.request("POST", "http://127.0.0.1:1/", headers={name: "3"})


@pytest.mark.parametrize(
    ("auth", "field"),
    [
        (("user", "pä:ss"), "Basic " + base64.b64encode("user:pä:ss".encode()).decode()),
        ("t0ken", "Bearer t0ken"),
    ],
)
def test_logins(browser: Browser, server: WebServer, auth: Any, field: str) -> None:
    """`auth=` is a user and a password, or a token; it replaces a field of that name."""
    reply = browser.get(f"{server.url}/echo", auth=auth, headers={"authorization": "other"})

    assert reply.json()["headers"]["authorization"] == field


def test_login_in_the_url(browser: Browser, server: WebServer) -> None:
    """A login in the URL is sent as such, and shown nowhere."""
    reply = browser.get(server.url.replace("//", "//me:s%40fe@") + "/echo")

    assert reply.json()["headers"]["authorization"] == "Basic " + base64.b64encode(b"me:s@fe").decode()
    assert reply.url == f"{server.url}/echo"


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [(301, "GET", b""), (302, "GET", b""), (303, "GET", b""), (307, "PUT", b"data"), (308, "PUT", b"data")],
)
def test_what_a_redirect_keeps(
    browser: Browser, server: WebServer, status: int, method: str, body: bytes
) -> None:
    """301, 302 and 303 lead to a GET without a body, 307 and 308 repeat the request."""
    found = f"HTTP/1.1 {status} There\r\nLocation: {server.url}/echo\r\nContent-Length: 0\r\n\r\n"
    with RawServer([Answer(found.encode())]) as first:
        reply = browser.request("PUT", f"{first.url}/", data=b"data", headers={"X-Own": "1"})

    assert (reply.json()["method"], _echoed(reply)) == (method, body)
    assert reply.json()["headers"]["x-own"] == "1"
    assert ("content-type" in reply.json()["headers"]) == bool(body)
    assert browser.counted.exchanges == 2


def test_redirected_head_stays_one(browser: Browser, server: WebServer) -> None:
    """HEAD is not turned into GET."""
    browser.request("HEAD", f"{server.url}/redirect/1")

    assert [seen.method for seen in server.seen] == ["HEAD", "HEAD"]


def test_secrets_stay_with_their_server(browser: Browser, server: WebServer) -> None:
    """A redirect to another server takes no login and no cookie along; one to the same server does."""
    found = f"HTTP/1.1 302 There\r\nLocation: {server.url}/echo\r\nContent-Length: 0\r\n\r\n".encode()
    here = b"HTTP/1.1 302 There\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"
    secrets = {"Cookie": "a=b", "Authorization": "secret"}
    with RawServer([Answer(here), Answer(found)]) as first:
        reply = browser.get(f"{first.url}/", headers=secrets)

        assert all(b"secret" in request and b"a=b" in request for request in first.requests)
    assert {"authorization", "cookie"}.isdisjoint(reply.json()["headers"])


def test_redirected_stream(browser: Browser) -> None:
    """A file is sent again from where it stood; an iterator cannot be, and says so."""
    found = b"HTTP/1.1 307 There\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
    with RawServer([Answer(found, "keep"), Answer(OK, "keep")]) as server:
        browser.request("PUT", f"{server.url}/", data=io.BytesIO(b"text"))
        assert [request.rpartition(b"\r\n\r\n")[2] for request in server.requests] == [b"text"] * 2
    with (
        SocketServer(_reading_chunks(found)) as other,
        pytest.raises(ConnectionFailure, match="a stream cannot be sent again"),
    ):
        browser.request("PUT", f"{other.url}/", data=iter([b"text"]))


def _reading_chunks(answer: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        data = read_head(connection)
        while not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(65536)
        connection.sendall(answer)
        connection.recv(1)

    return serve


def test_consent(browser: Browser) -> None:
    """`Expect: 100-continue` sends the body when the server says so."""
    bodies = []

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        bodies.append(connection.recv(4))
        connection.sendall(OK)
        connection.recv(1)

    with SocketServer(serve) as server:
        reply = browser.request("PUT", f"{server.url}/", data=b"data", headers={"Expect": "100-continue"})

    assert (reply.text, bodies) == ("hi", [b"data"])


def test_no_consent(browser: Browser) -> None:
    """A server that refuses never gets the body."""
    rest = []

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
        rest.append(connection.recv(100))

    with SocketServer(serve) as server:
        reply = browser.request(
            "PUT", f"{server.url}/", data=b"data", headers={"Expect": "100-continue"}, expect=417
        )

    assert (reply.status_code, rest) == (417, [b""])


def test_silent_consent(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not know the question gets the body after a while."""
    monkeypatch.setattr(connection_module, "_CONSENT_PATIENCE", 0.05)
    monkeypatch.setattr(blocking, "_CONSENT_PATIENCE", 0.05)
    with SocketServer(answering(OK)) as server:
        reply = browser.request("PUT", f"{server.url}/", data=b"data", headers={"Expect": "100-continue"})

    assert reply.text == "hi"


TEXT = b"packed " * 2000
PACKED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT[:700]) + gzip.compress(TEXT[700:]),
    "deflate": zlib.compress(TEXT),
    "Deflate": zlib.compress(TEXT, wbits=-15),
    "br": brotli.compress(TEXT),
    "zstd": zstd.compress(TEXT),
    "gzip, br": brotli.compress(gzip.compress(TEXT)),
    "identity": TEXT,
}


@pytest.mark.parametrize(("name", "packed"), PACKED.items(), ids=PACKED)
def test_codings(browser: Browser, name: str, packed: bytes) -> None:
    """What is packed for the way is unpacked; counted are the bytes on the way."""
    head = HEAD + f"Content-Encoding: {name}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    with RawServer([Answer(head + packed)]) as server:
        assert browser.get(f"{server.url}/").content == TEXT
        assert b"Accept-Encoding: gzip, deflate, br, zstd\r\n" in server.requests[0]

    assert browser.sample.bytes_received == len(head) + len(packed)


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "deflate", "Deflate", "br", "zstd", "gzip, br"])
def test_bombs(browser: Browser, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A body that unpacks to more than the limit is refused before it is unpacked."""
    monkeypatch.setattr(coding, "MAX_BODY", len(TEXT) - 1)
    monkeypatch.setattr(coding, "_STEP", 1000)
    packed = PACKED[name]
    head = HEAD + f"Content-Encoding: {name}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    with (
        RawServer([Answer(head + packed)]) as server,
        pytest.raises(ConnectionFailure, match="a body of more than"),
    ):
        browser.get(f"{server.url}/")


def test_unknown_coding(browser: Browser) -> None:
    """A coding that nobody asked for is left as it is."""
    head = HEAD + b"Content-Encoding: rot13\r\nContent-Length: 2\r\n\r\n"
    with RawServer([Answer(head + b"uv")]) as server:
        assert browser.get(f"{server.url}/").content == b"uv"


def test_proxy(browser: Browser, server: WebServer) -> None:
    """A request for http goes to the proxy as it is, with its login."""
    with RawServer([Answer(OK)]) as proxy:
        way = proxy.url.replace("//", "//me:pw@")
        assert browser.get("http://shop.invalid/cart?x=1", proxy=way).text == "hi"

        head = proxy.requests[0]
    assert head.startswith(b"GET http://shop.invalid/cart?x=1 HTTP/1.1\r\nHost: shop.invalid\r\n")
    assert b"\r\nProxy-Authorization: Basic " + base64.b64encode(b"me:pw") in head
    assert browser.counted.exchanges == 1


@pytest.fixture
def https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """Return a server with a certificate that the client trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls_context.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with WebServer(context) as server:
        yield server
    tls_context.cache_clear()


def _tunnelling(asked: list[bytes]) -> Callable[[socket.socket], None]:
    """Return a proxy that connects as it is told and notes the head of the request."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve(connection: socket.socket) -> None:
        head = read_head(connection)
        asked.append(head)
        host, port = head.split()[1].decode().split(":")
        with socket.create_connection((host, int(port))) as other:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(other, connection))
            back.start()
            pump(connection, other)
            back.join()

    return serve


def test_proxy_for_https(https: WebServer, browser: Browser) -> None:
    """A request for https goes through a tunnel, in which the certificate is verified as ever."""
    asked: list[bytes] = []
    with SocketServer(_tunnelling(asked)) as proxy:
        way = proxy.url.replace("//", "//me:pw@")
        for _ in range(2):
            assert browser.get(f"{https.url}/echo", proxy=way).json()["method"] == "GET"
        browser.close()

    (head,) = asked
    assert head.startswith(f"CONNECT {https.url[8:]} HTTP/1.1\r\nHost: {https.url[8:]}\r\n".encode())
    assert b"Proxy-Authorization: Basic" in head
    assert "proxy-authorization" not in https.seen[0].headers
    assert browser.counted.exchanges == len(https.seen) == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"HTTP/1.1 407 Login\r\n\r\n", "answered 407"), (b"SSH-2.0\r\n\r\n", "not a valid"), (b"", "closed")],
)
def test_proxy_that_refuses(browser: Browser, data: bytes, reason: str) -> None:
    """A proxy that makes no tunnel is a failure that names it; nothing was exchanged."""
    with RawServer([Answer(data)]) as proxy, pytest.raises(ConnectionFailure, match=reason):
        browser.get("https://shop.invalid/", proxy=proxy.url)

    assert browser.counted.exchanges == 0


@pytest.mark.parametrize("proxy", ["https://127.0.0.1:1", "127.0.0.1:1", "http://", 5])
def test_no_proxy(browser: Browser, proxy: Any) -> None:
    """A proxy that is no http:// URL is a mistake in the call."""
    with pytest.raises(ValueError, match=r"proxy=.*give an http:// URL"):
        browser.get("http://127.0.0.1/", proxy=proxy)


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="no IPv6 on this machine: enable it on loopback")
def test_ipv6(browser: Browser) -> None:
    """An IPv6 address is a host like others."""
    heads = []

    def serve(connection: socket.socket) -> None:
        heads.append(read_head(connection))
        connection.sendall(OK)
        connection.recv(1)

    with SocketServer(serve, "::1") as server:
        assert browser.get(f"{server.url}/").text == "hi"
        assert f"\r\nHost: [::1]:{server.port}\r\n".encode() in heads[0]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let shop.test have a loopback address that refuses and one that answers; return who was asked for."""
    asked = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> Any:
        if host != "shop.test":
            return real(host, port, *args, **options)
        asked.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("127.0.0.9", "127.0.0.1")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    names.forget()
    yield asked
    names.forget()


def test_name_with_several_addresses(browser: Browser, resolver: list[str]) -> None:
    """All addresses of a name are tried; the name is looked up once, and that has a time of its own."""
    with RawServer([Answer(OK)]) as server:
        url = server.url.replace("127.0.0.1", "shop.test")
        first = browser.get(f"{url}/")
        second = browser.get(f"{url}/")

        assert (first.text, second.text, len(server.requests)) == ("hi", "hi", 2)
        assert b"\r\nHost: shop.test:" in server.requests[0]
    assert resolver == ["shop.test"]
    assert first.timings.dns > second.timings.dns >= 0.0


def test_name_whose_addresses_all_refuse(browser: Browser, resolver: list[str]) -> None:
    """When no address answers, the name is shown that was asked for."""
    with RawServer([Answer(OK)]) as gone:
        port = gone.url.rpartition(":")[2]
    with pytest.raises(ConnectionFailure, match=f"connection refused by shop.test:{port}"):
        browser.get(f"http://shop.test:{port}/")


def test_timings(https: WebServer, browser: Browser) -> None:
    """The parts of a response time add up to it; a kept connection takes no time to make."""
    first = browser.get(f"{https.url}/echo")
    second = browser.get(f"{https.url}/echo")

    assert first.timings.connect > 0
    assert first.timings.tls > 0
    assert second.timings[:3] == (0, 0, 0)
    for reply in (first, second):
        assert reply.timings.wait > 0
        assert min(reply.timings) >= 0
        assert sum(reply.timings) == pytest.approx(reply.elapsed.total_seconds(), abs=0.02)
    sums = browser.sample.phases
    assert sums.tls == pytest.approx(first.timings.tls * 1e6, abs=1)
    assert sums.wait == pytest.approx((first.timings.wait + second.timings.wait) * 1e6, abs=2)


def test_the_wait_for_an_answer_that_never_comes(browser: Browser, server: WebServer) -> None:
    """The time of a request without an answer was spent waiting."""
    with pytest.raises(Exception, match="no complete answer"):
        browser.get(f"{server.url}/slow", timeout=0.2)

    assert browser.sample.phases.wait > 150_000


def test_requests_side_by_side_open_connections_that_are_kept(
    coroutine_browser: Browser, server: WebServer
) -> None:
    """As many connections as requests at once; afterwards any of them serves."""

    async def rounds() -> None:
        http = coroutine_browser.virtual.http
        for _ in range(3):
            await asyncio.gather(*(http.get(f"{server.url}/echo") for _ in range(4)))

    coroutine_browser.run(rounds())

    assert (len(server.seen), server.connections) == (12, 4)


def test_cookies_are_shared_by_both_clients_of_a_user(browser: Browser, server: WebServer) -> None:
    """What an async fixture of a plain scenario logs in, the scenario is."""
    browser.run(browser.virtual.http.get(f"{server.url}/cookie"))

    assert browser.get(f"{server.url}/echo").json()["cookies"] == {"session": "abc"}
    assert browser.get(f"{server.url}/echo", headers={"Cookie": "x=y"}).json()["cookies"] == {
        "session": "abc",
        "x": "y",
    }


def test_user_agent(browser: Browser, server: WebServer) -> None:
    """The client says what it is, unless the scenario says something else."""
    mine = browser.get(f"{server.url}/echo").json()["headers"]
    own = browser.get(f"{server.url}/echo", headers={"User-Agent": "x", "accept": "y"}).json()["headers"]

    assert mine["user-agent"].startswith("pytest-metersphere/")
    assert (own["user-agent"], own["accept"]) == ("x", "y")


def test_shared_connections(loop: asyncio.AbstractEventLoop, server: WebServer) -> None:
    """Users that share have so many connections together, and cookies of their own."""
    users = [Browser(loop, blocking=False) for _ in range(3)]

    async def busy(user: Browser) -> None:
        user.virtual.http.share(2)
        await user.virtual.http.get(f"{server.url}/cookie")
        await asyncio.gather(*(user.virtual.http.get(f"{server.url}/redirect/1") for _ in range(4)))

    async def all_at_once() -> None:
        await asyncio.gather(*map(busy, users))

    users[0].run(all_at_once())
    for user in users:
        user.close()

    assert (len(server.seen), server.connections) == (27, 2)
    assert all(user.counted.exchanges == 9 for user in users)


def test_connections_shared_by_threads(loop: asyncio.AbstractEventLoop, server: WebServer) -> None:
    """Users with threads share in the same way."""
    users = [Browser(loop, blocking=True) for _ in range(4)]
    for user in users:
        user.share(2)
    begun = [user.begin("GET", f"{server.url}/redirect/3") for user in users for _ in range(3)]

    assert [future.result(20).text for future in begun] == ["arrived"] * 12
    for user in users:
        user.close()
    assert len(server.seen) == 48
    assert server.connections <= 2


def test_no_shared_connection_in_time(browser: Browser, server: WebServer) -> None:
    """Who gets no connection in time has exchanged nothing."""
    browser.share(1)
    slow = browser.begin("GET", f"{server.url}/slow", timeout=5, label="slow")
    wait_until(lambda: len(server.seen) == 1, "the slow request")
    other = Browser(browser.loop, blocking=browser.is_blocking)
    other.share(1)
    with pytest.raises(RequestTimeout, match=r"no complete answer within 0\.2 s"):
        other.get(f"{server.url}/echo", timeout=0.2)
    assert other.counted.exchanges == 0
    other.close()
    browser.send_away()
    with pytest.raises((Interrupted, concurrent.futures.CancelledError)):
        slow.result(20)


@pytest.mark.parametrize("connections", [0, -1, 1.5, True, "2", None])
def test_no_number_of_connections(browser: Browser, connections: Any) -> None:
    """What is no number of connections is a mistake in the call."""
    with pytest.raises(TypeError, match="give a number of 1 or more"):
        browser.share(connections)


def test_sharing_comes_first(browser: Browser, server: WebServer) -> None:
    """A user that has connections of its own cannot share any more."""
    browser.get(f"{server.url}/echo")
    with pytest.raises(RuntimeError, match="call it first"):
        browser.share(2)


def test_mistake_on_a_kept_connection(browser: Browser, server: WebServer) -> None:
    """A call that makes no sense sends nothing and costs no connection, also where there is one already."""
    browser.get(f"{server.url}/echo")
    for options in ({"expect": "404"}, {"label": 5}):
        with pytest.raises(TypeError):
            browser.get(f"{server.url}/echo", **options)
    browser.get(f"{server.url}/echo")

    assert (len(server.seen), server.connections, browser.counted.exchanges) == (2, 1, 2)


def test_answer_that_comes_with_the_end_of_the_user(coroutine_browser: Browser) -> None:
    """A user that must go just when its answer has come does go, and the exchange was interrupted."""
    browser = coroutine_browser

    async def cut_off() -> None:
        http = browser.virtual.http
        await http.get(f"{server.url}/")
        (connection,) = http._connections
        task = asyncio.ensure_future(http.get(f"{server.url}/"))
        await asyncio.sleep(0)
        connection.data_received(OK)
        browser.meter.leaving = True
        task.cancel()
        await task

    silent = Answer(b"", "keep")
    with RawServer([Answer(OK, "keep"), silent]) as server:
        with pytest.raises(concurrent.futures.CancelledError):
            browser.run(cut_off())

        assert (browser.counted.interrupted, browser.counted.exchanges) == (1, 1)
        browser.close()


def test_thread_that_must_leave_between_two_exchanges(
    loop: asyncio.AbstractEventLoop, server: WebServer
) -> None:
    """What a redirected call has exchanged is counted when its user must go before the next request."""
    browser = Browser(loop, blocking=True)

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        browser.send_away()
        connection.sendall(b"HTTP/1.1 302 There\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
        connection.recv(1)

    with SocketServer(serve) as first:
        with pytest.raises(Interrupted):
            browser.get(f"{first.url}/")
        browser.close()

    assert (browser.counted.interrupted, browser.counted.exchanges) == (1, 0)
