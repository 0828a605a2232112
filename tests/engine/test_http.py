"""vu.http against servers on loopback: what comes back, what fails how, and what is counted."""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import functools
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from pytest_metersphere.engine.failures import (
    ConnectionFailure,
    Interrupted,
    RequestError,
    RequestTimeout,
    StatusError,
)
from pytest_metersphere.engine.http import Response, tls_context
from tests.engine.browsers import Browser
from tests.engine.server import PATIENCE, Answer, RawServer, WebServer, wait_until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def _body(reply: Response) -> bytes:
    return base64.b64decode(reply.json()["body"])


@pytest.mark.parametrize("verb", ["get", "post", "put", "patch", "delete"])
def test_methods(browser: Browser, server: WebServer, verb: str) -> None:
    """Each method of the client sends the HTTP method of its name."""
    reply = browser.verb(verb)(f"{server.url}/echo")

    assert reply.json()["method"] == verb.upper()
    assert browser.label == f"{verb.upper()} /echo"


def test_any_other_method(browser: Browser, server: WebServer) -> None:
    """`request` sends what it is told, in capitals."""
    reply = browser.request("options", f"{server.url}/echo")

    assert reply.json()["method"] == "OPTIONS"
    assert browser.label == "OPTIONS /echo"


def test_head_has_no_body(browser: Browser, server: WebServer) -> None:
    """The answer to HEAD announces a length and has no body; that is no failure."""
    reply = browser.request("HEAD", f"{server.url}/gzip")

    assert (reply.status_code, reply.content) == (200, b"")
    assert int(reply.headers["content-length"]) > 0
    assert browser.sample.bytes_received < 300


def test_params_and_headers(browser: Browser, server: WebServer) -> None:
    """Parameters join the query that the URL has; headers are sent."""
    reply = browser.get(
        f"{server.url}/echo?a=1", params={"q": "red shoes", "page": 2}, headers={"X-Shop": "north"}
    )

    echo = reply.json()
    assert echo["query"] == [["a", "1"], ["q", "red shoes"], ["page", "2"]]
    assert echo["headers"]["x-shop"] == "north"
    assert browser.label == "GET /echo"


@pytest.mark.parametrize(
    ("options", "kind", "body"),
    [
        ({"json": {"id": 5, "ü": [1]}}, "application/json", b'{"id": 5, "\\u00fc": [1]}'),
        ({"data": {"user": "a b", "pin": "ü"}}, "application/x-www-form-urlencoded", b"user=a+b&pin=%C3%BC"),
        ({"data": b"\x00\xff"}, "application/octet-stream", b"\x00\xff"),
        ({"data": "grüß"}, "text/plain; charset=utf-8", "grüß".encode()),
        ({}, "application/octet-stream", b""),
    ],
    ids=["json", "form", "bytes", "text", "none"],
)
def test_bodies(browser: Browser, server: WebServer, options: dict[str, Any], kind: str, body: bytes) -> None:
    """JSON, forms, bytes and text arrive as such."""
    reply = browser.request("POST", f"{server.url}/echo", **options)

    assert _body(reply) == body
    assert reply.json()["headers"]["content-type"] == kind


def test_the_answer(browser: Browser, server: WebServer) -> None:
    """A response has status, reason, headers in any case, text, and a time."""
    reply = browser.get(f"{server.url}/redirect/0")

    assert (reply.status_code, reply.reason, reply.ok, reply.text) == (200, "OK", True, "arrived")
    assert reply.headers["CONTENT-TYPE"] == "text/plain; charset=utf-8"
    assert reply.url == f"{server.url}/redirect/0"
    assert 0 < reply.elapsed.total_seconds() < PATIENCE
    assert repr(reply) == f"<Response 200 {server.url}/redirect/0>"


def test_one_request_is_one_sample(browser: Browser, server: WebServer) -> None:
    """A good request is one sample with both its times, one exchange, and no failure."""
    browser.get(f"{server.url}/redirect/0")

    sample = browser.sample
    assert (sample.kind, sample.requests, sample.failures) == ("request", 1, 0)
    assert (sample.response.count, sample.service.count) == (1, 1)
    assert (browser.counted.exchanges, browser.counted.interrupted) == (1, 0)
    assert browser.counted.errors == []


def test_no_complete_answer_in_time(browser: Browser, server: WebServer) -> None:
    """A timeout is RequestTimeout, a failed sample, and an exchange, as the server has seen it."""
    with pytest.raises(RequestTimeout, match=r"GET http.*/slow: no complete answer within 0\.2 s"):
        browser.get(f"{server.url}/slow", timeout=0.2)

    assert browser.failure == ("GET /slow", "timeout", "timeout")
    assert (browser.sample.failures, browser.counted.exchanges, len(server.seen)) == (1, 1, 1)


def test_timeout_within_the_body(browser: Browser) -> None:
    """The timeout holds up to the last byte."""
    with RawServer([Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", "keep")]) as server:
        with pytest.raises(RequestTimeout):
            browser.get(f"{server.url}/", timeout=0.2)

        assert (browser.counted.exchanges, len(server.requests)) == (1, 1)


def test_refused(browser: Browser, server: WebServer) -> None:
    """A refused connection says who refused; no exchange has taken place."""
    with RawServer([Answer(OK)]) as gone:
        url = gone.url

    with pytest.raises(ConnectionFailure, match=r"connection refused by 127\.0\.0\.1:") as caught:
        browser.get(f"{url}/cart")

    assert caught.value.kind == "refused"
    assert browser.failure == ("GET /cart", "refused", f"connection refused by {url[7:]}")
    assert browser.counted.exchanges == 0
    assert browser.sample.service.count == 0


def test_unknown_host(browser: Browser) -> None:
    """A name that nobody knows is named."""
    with pytest.raises(ConnectionFailure, match=r"unknown host shop\.invalid"):
        browser.get("http://shop.invalid/cart")

    assert browser.failure == ("GET /cart", "dns", "unknown host shop.invalid")
    assert browser.counted.exchanges == 0


HEAD = b"HTTP/1.1 200 OK\r\n"
CUT_SHORT = {
    "in the body": HEAD + b"Content-Length: 100\r\n\r\nabc",
    "in a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    "in the head": HEAD + b"Content-Le",
    "before the head": b"",
}


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("data", CUT_SHORT.values(), ids=CUT_SHORT)
def test_connection_lost(browser: Browser, data: bytes, then: Any) -> None:
    """A connection that ends too early is a reset, at once: a lost request is not hidden by a second try."""
    with RawServer([Answer(data, then)]) as server:
        with pytest.raises(ConnectionFailure, match="the server closed the connection before") as caught:
            browser.get(f"{server.url}/")
        wait_until(lambda: server.closed > 0, "the end of the connection")

        assert caught.value.kind == "reset"
        assert browser.failure[:2] == ("GET /", "reset")
        assert browser.counted.exchanges == len(server.requests) == 1


NONSENSE = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nab\r\n0\r\n\r\n",
    "later chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\nQQ\r\n\r\n",
    "content length": HEAD + b"Content-Length: many\r\n\r\nab",
    "gzip": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nabcde",
    "status": b"HTTP/1.1 999999 Odd\r\nContent-Length: 0\r\n\r\n",
    "header too large": HEAD + b"X-Long: " + b"a" * 100_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "redirect to no URL": b"HTTP/1.1 302 Found\r\nLocation: http://[bad\r\nContent-Length: 0\r\n\r\n",
    "redirect to FTP": b"HTTP/1.1 302 Found\r\nLocation: ftp://x/\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_for_an_answer(browser: Browser, data: bytes) -> None:
    """What is no valid answer is a protocol failure in one short line, never a crash."""
    with RawServer([Answer(data)]) as server:
        with pytest.raises(ConnectionFailure) as caught:
            browser.get(f"{server.url}/")

        text = str(caught.value)
        assert caught.value.kind == "protocol"
        assert "\n" not in text
        assert len(text) < 300
        assert "message=" not in text
        assert "400" not in text.partition("/: ")[2]
        assert browser.failure[:2] == ("GET /", "protocol")
        assert browser.counted.exchanges == len(server.requests) == 1


@pytest.mark.parametrize("charset", ["klingon", "idna", "rot13", "undefined", ";;=", '"', "utf-8\x00"])
def test_text_in_no_known_charset(browser: Browser, charset: str) -> None:
    """A charset that is none is read as UTF-8, also in the message of a failed request."""
    head = f"HTTP/1.1 500 Oops\r\nContent-Type: text/plain; charset={charset}\r\nContent-Length: 4\r\n\r\n"
    with (
        RawServer([Answer(head.encode() + b"\xff\xc3\xbca")]) as server,
        pytest.raises(RequestError) as caught,
    ):
        browser.get(f"{server.url}/")

    if isinstance(caught.value, StatusError):
        assert caught.value.response.text == "\ufffd\xfca"
    else:
        assert caught.value.kind == "protocol"
    assert browser.sample.failures == browser.counted.exchanges == 1


def test_reason_that_is_no_text(browser: Browser) -> None:
    """A reason of arbitrary bytes does not spoil what is sent to the controller."""
    with (
        RawServer([Answer(b"HTTP/1.1 500 \xe9\xff\r\nContent-Length: 0\r\n\r\n")]) as server,
        pytest.raises(StatusError) as caught,
    ):
        browser.get(f"{server.url}/")

    assert caught.value.response.reason == "\ufffd\ufffd"
    assert browser.failure == ("GET /", "status", "500 \ufffd\ufffd")


def test_status_of_400_and_above(browser: Browser, server: WebServer) -> None:
    """A bad status raises with the head of the body, and has the response at hand."""
    with pytest.raises(StatusError) as caught:
        browser.get(f"{server.url}/status/503")

    text = str(caught.value)
    assert text.startswith(f"GET {server.url}/status/503 answered 503 Service Unavailable: because xxx")
    assert len(text) < 300
    assert caught.value.response.status_code == 503
    assert len(caught.value.response.content) > 500
    assert browser.failure == ("GET /status/{}", "status", "503 Service Unavailable")
    assert (browser.sample.requests, browser.sample.failures, browser.counted.exchanges) == (1, 1, 1)


@pytest.mark.parametrize("expect", [404, (404, 409), {404}, [409, 404], range(400, 410)], ids=str)
def test_expected_status(browser: Browser, server: WebServer, expect: Any) -> None:
    """What is expected is no failure."""
    reply = browser.get(f"{server.url}/status/404", expect=expect)

    assert (reply.status_code, reply.ok) == (404, False)
    assert (browser.sample.failures, browser.counted.errors) == (0, [])


@pytest.mark.parametrize("expect", [409, (400, 409), ()], ids=str)
def test_other_status_than_expected(browser: Browser, server: WebServer, expect: Any) -> None:
    """A bad status that is not among the expected ones fails."""
    with pytest.raises(StatusError, match="answered 404"):
        browser.get(f"{server.url}/status/404", expect=expect)


def test_redirects(browser: Browser, server: WebServer) -> None:
    """Redirects are followed: one sample under the first label, one exchange for each answer."""
    reply = browser.get(f"{server.url}/redirect/3")

    assert (reply.text, reply.redirects, reply.url) == ("arrived", 3, f"{server.url}/redirect/0")
    assert [seen.target for seen in server.seen] == [f"/redirect/{left}" for left in (3, 2, 1, 0)]
    assert (browser.label, browser.sample.requests) == ("GET /redirect/{}", 1)
    assert browser.counted.exchanges == 4


def test_redirects_without_end(browser: Browser, server: WebServer) -> None:
    """A circle of redirects fails, and every exchange is counted."""
    with pytest.raises(ConnectionFailure, match="still redirected after 10 redirects"):
        browser.get(f"{server.url}/loop")

    assert browser.failure == ("GET /loop", "protocol", "still redirected after {} redirects")
    assert browser.counted.exchanges == len(server.seen) == 10


def test_redirect_to_nowhere(browser: Browser) -> None:
    """A redirect to a server that refuses is one exchange and one failed sample."""
    with RawServer([Answer(OK)]) as gone:
        target = gone.url.encode()
    found = b"HTTP/1.1 302 Found\r\nLocation: " + target + b"/\r\nContent-Length: 0\r\n\r\n"
    with RawServer([Answer(found)]) as server:
        with pytest.raises(ConnectionFailure, match="connection refused"):
            browser.get(f"{server.url}/start")

        assert browser.failure[:2] == ("GET /start", "refused")
        assert browser.counted.exchanges == len(server.requests) == 1


def test_cookies_stay_with_their_user(
    browser: Browser, server: WebServer, loop: asyncio.AbstractEventLoop
) -> None:
    """A user sends the cookies it was given; another user does not know them."""
    other = Browser(loop, blocking=False)
    try:
        assert browser.get(f"{server.url}/cookie").cookies == {"session": "abc"}
        assert browser.get(f"{server.url}/echo").json()["cookies"] == {"session": "abc"}
        assert other.get(f"{server.url}/echo").json()["cookies"] == {}
    finally:
        other.close()


def test_one_connection_for_many_requests(browser: Browser, server: WebServer) -> None:
    """A user keeps its connection."""
    for _ in range(20):
        browser.get(f"{server.url}/echo")

    assert (len(server.seen), server.connections) == (20, 1)
    assert browser.counted.exchanges == 20


def test_no_connection_is_left_behind(loop: asyncio.AbstractEventLoop) -> None:
    """A user that is closed closes its connection."""
    browser = Browser(loop, blocking=False)
    with RawServer([Answer(OK, "keep")]) as server:
        browser.get(f"{server.url}/")
        assert server.closed == 0
        browser.close()
        wait_until(lambda: server.closed == 1, "the end of the connection")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_proxy_variables_are_ignored(
    browser: Browser, server: WebServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Load goes to the server itself, whatever the environment says."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with RawServer([Answer(OK)]) as proxy:
        monkeypatch.setenv(name, proxy.url)
        browser.get(f"{server.url}/echo")

        assert (proxy.connections, len(server.seen)) == (0, 1)


def test_netrc_is_ignored(
    browser: Browser, server: WebServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No password of the developer's goes to the server."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1\nlogin me\npassword secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))

    assert "authorization" not in browser.get(f"{server.url}/echo").json()["headers"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority that no system knows."""
    return trustme.CA()


@pytest.fixture
def https(authority: trustme.CA) -> Iterator[WebServer]:
    """Return a server with a certificate for 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with WebServer(context) as server:
        yield server


@pytest.fixture
def fresh_context() -> Iterator[None]:
    """Let the process build its TLS context anew, from the environment of the test."""
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


def test_known_certificate(
    https: WebServer,
    browser: Browser,
    authority: trustme.CA,
    fresh_context: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """SSL_CERT_FILE names authorities to trust."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    assert browser.get(f"{https.url}/echo").json()["method"] == "GET"
    assert (browser.counted.exchanges, len(https.seen)) == (1, 1)


def test_unknown_certificate(https: WebServer, browser: Browser, fresh_context: None) -> None:
    """A certificate of an unknown authority is refused, with the reason."""
    with pytest.raises(ConnectionFailure, match="certificate verify failed") as caught:
        browser.get(f"{https.url}/echo")

    assert caught.value.kind == "tls"
    assert browser.failure[:2] == ("GET /echo", "tls")
    assert (browser.counted.exchanges, len(https.seen)) == (0, 0)


def test_certificate_of_another_name(
    browser: Browser,
    authority: trustme.CA,
    fresh_context: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A certificate for another host is refused."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("shop.example").configure_cert(context)
    with WebServer(context) as server, pytest.raises(ConnectionFailure, match="not valid for") as caught:
        browser.get(f"{server.url}/echo")

    assert caught.value.kind == "tls"


def test_https_to_a_plain_server(browser: Browser, server: WebServer) -> None:
    """A server that speaks no TLS is a TLS failure."""
    with pytest.raises(ConnectionFailure) as caught:
        browser.get(f"{server.url.replace('http', 'https')}/echo")

    assert caught.value.kind == "tls"
    assert browser.counted.exchanges == 0


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/", "GET /"),
        ("", "GET /"),
        ("/users/17/carts/3", "GET /users/{}/carts/{}"),
        ("/o/8f14e45f-ceea-467f-a9ac-7b2f2a5f2f10?x=1#top", "GET /o/{}"),
        ("/blobs/da39a3ee5e6b4b0d3255bfef95601890afd80709", "GET /blobs/{}"),
        ("/v2/deadbeef/cafe", "GET /v2/deadbeef/cafe"),
        ("/with space/ü", "GET /with space/ü"),
    ],
)
def test_default_label(browser: Browser, path: str, label: str) -> None:
    """The label is method and path, with what varies as {}; query and fragment are left out."""
    with RawServer([Answer(OK)]) as server:
        browser.get(f"{server.url}{path}")

    assert browser.label == label


def test_default_label_of_a_failure(browser: Browser, server: WebServer) -> None:
    """A request that gets no answer has the same label as one that does."""
    with RawServer([Answer(OK)]) as gone:
        url = gone.url
    with pytest.raises(ConnectionFailure):
        browser.get(f"{url}/users/17/with%20space/%C3%BC?x=1")

    assert browser.label == "GET /users/{}/with space/ü"


def test_own_label(browser: Browser, server: WebServer) -> None:
    """`label=` names the sample, also one that fails."""
    browser.get(f"{server.url}/echo", label="look around")
    with pytest.raises(RequestTimeout):
        browser.get(f"{server.url}/slow", label="look around", timeout=0.1)

    assert (browser.label, browser.sample.requests, browser.sample.failures) == ("look around", 2, 1)


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("ftp://127.0.0.1/x", "GET /x"),
        ("nonsense", "GET nonsense"),
        ("/cart", "GET /cart"),
        ("http://[::1/", "GET"),
    ],
)
def test_url_that_is_not_http(browser: Browser, url: str, label: str) -> None:
    """A URL that cannot be requested is a failed sample that shows it."""
    with pytest.raises(ConnectionFailure, match="not an http:// or https:// URL") as caught:
        browser.get(url)

    assert url in str(caught.value)
    assert browser.failure[:2] == (label, "protocol")
    assert browser.counted.exchanges == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": "5s"}, "timeout='5s': give the seconds as a positive number"),
        ({"timeout": 0}, "timeout=0: give"),
        ({"timeout": -1}, "timeout=-1: give"),
        ({"timeout": None}, "timeout=None: give"),
        ({"timeout": True}, "timeout=True: give"),
        ({"timeout": float("nan")}, "timeout=nan: give"),
        ({"timeout": float("inf")}, "timeout=inf: give"),
        ({"expect": "404"}, "expect='404': give a status or several"),
        ({"expect": None}, "expect=None: give a status or several"),
        ({"expect": 404.0}, "expect=404.0: give a status or several"),
        ({"label": 5}, "label=5: give a text"),
        ({"label": " "}, "label=' ': give a text"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_bad_arguments(browser: Browser, server: WebServer, options: dict[str, Any], message: str) -> None:
    """A mistake in the call is a TypeError that says what to write; nothing is sent or counted."""
    with pytest.raises(TypeError, match=message.replace("(", r"\(")):
        browser.get(f"{server.url}/echo", **options)

    assert (browser.counted.requests, server.seen) == (0, [])


def test_bad_header(browser: Browser, server: WebServer) -> None:
    """What would smuggle a second header in is refused before anything is sent."""
    with pytest.raises(ValueError, match="header"):
        browser.get(f"{server.url}/echo", headers={"X": "a\r\nY: b"})

    assert (browser.counted.exchanges, server.seen) == (0, [])


def test_user_that_must_leave(browser: Browser, server: WebServer) -> None:
    """A request whose user must go is an interrupted exchange: no sample, no failure."""
    future = browser.begin("GET", f"{server.url}/slow")
    wait_until(lambda: len(server.seen) == 1, "the request")
    browser.send_away()
    with pytest.raises((Interrupted, concurrent.futures.CancelledError)):
        future.result(PATIENCE)
    wait_until(lambda: browser.counted.interrupted > 0, "the request to be counted")

    assert (browser.counted.interrupted, browser.counted.exchanges) == (1, 0)
    assert (browser.counted.labels, browser.counted.errors) == ({}, [])


def test_redirected_user_that_must_leave(browser: Browser, server: WebServer) -> None:
    """All exchanges of an interrupted request are counted as such."""
    found = b"HTTP/1.1 302 Found\r\nLocation: " + server.url.encode() + b"/slow\r\nContent-Length: 0\r\n\r\n"
    with RawServer([Answer(found)]) as first:
        future = browser.begin("GET", f"{first.url}/")
        wait_until(lambda: len(server.seen) == 1, "the redirected request")
        browser.send_away()
        with pytest.raises((Interrupted, concurrent.futures.CancelledError)):
            future.result(PATIENCE)
        wait_until(lambda: browser.counted.interrupted > 0, "the request to be counted")

        assert browser.counted.interrupted == len(first.requests) + len(server.seen) == 2


def test_request_that_the_scenario_cancels(coroutine_browser: Browser, server: WebServer) -> None:
    """A scenario's own timeout around a request makes it a failed sample, counted with its exchange."""

    async def impatient() -> None:
        async with asyncio.timeout(0.2):
            await coroutine_browser.virtual.http.get(f"{server.url}/slow")

    with pytest.raises(TimeoutError):
        coroutine_browser.run(impatient())

    counted = coroutine_browser.counted
    assert coroutine_browser.failure == ("GET /slow", "exception", "TimeoutError: cancelled by the scenario")
    assert (coroutine_browser.sample.failures, counted.exchanges, counted.interrupted) == (1, 1, 0)
    assert len(server.seen) == 1


def test_requests_side_by_side(coroutine_browser: Browser, server: WebServer) -> None:
    """A user may have several requests under way; each is counted once."""

    async def many() -> list[Response]:
        http = coroutine_browser.virtual.http
        return await asyncio.gather(*(http.get(f"{server.url}/redirect/1") for _ in range(10)))

    assert len(coroutine_browser.run(many())) == 10
    assert coroutine_browser.sample.requests == 10
    assert coroutine_browser.counted.exchanges == len(server.seen) == 20


def test_server_that_closes_idle_connections(browser: Browser) -> None:
    """A server that closes its connections after each answer gets each request once."""
    with RawServer([Answer(OK)]) as server:
        for number in range(1, 11):
            assert browser.get(f"{server.url}/").text == "hi"
            wait_until(functools.partial(server.has_closed, number), "the end of the connection")

        assert browser.counted.exchanges == len(server.requests) == 10
        assert browser.sample.failures == 0


def _get_on_a_stale_connection(browser: Browser, server: RawServer, method: str) -> None:
    """Send a request before the event loop can see that the server has closed the connection."""

    async def twice() -> None:
        http = browser.virtual.http
        await http.get(f"{server.url}/first")
        wait_until(lambda: server.closed == 1, "the end of the connection")
        await http.request(method, f"{server.url}/second")

    browser.run(twice())


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_stale_connection(coroutine_browser: Browser, method: str) -> None:
    """A request that meets a connection just closed is sent again, and counted once: so the server saw it."""
    second = OK.removesuffix(b"hi") if method == "HEAD" else OK
    with RawServer([Answer(OK), Answer(second)]) as server:
        _get_on_a_stale_connection(coroutine_browser, server, method)

        assert (len(server.requests), server.connections) == (2, 2)
        assert coroutine_browser.counted.exchanges == 2
        assert coroutine_browser.counted.failures == 0


def test_stale_connection_and_a_request_that_may_not_be_repeated(coroutine_browser: Browser) -> None:
    """A POST is never sent twice: it fails as a reset."""
    with RawServer([Answer(OK)]) as server:
        with pytest.raises(ConnectionFailure) as caught:
            _get_on_a_stale_connection(coroutine_browser, server, "POST")

        assert caught.value.kind == "reset"
        assert [request.split()[0] for request in server.requests] == [b"GET"]


def test_stale_connection_then_a_lost_request(coroutine_browser: Browser) -> None:
    """The second try of a stale connection's request fails when the server loses it, and is not repeated."""
    with RawServer([Answer(OK), Answer(b"")]) as server:
        with pytest.raises(ConnectionFailure):
            _get_on_a_stale_connection(coroutine_browser, server, "GET")

        assert coroutine_browser.counted.exchanges == len(server.requests) == 2
        assert coroutine_browser.counted.failures == 1


def test_exchanges_are_what_the_server_saw(browser: Browser, server: WebServer) -> None:
    """Over good and bad requests, redirects and timeouts, both sides count the same."""
    for path in ("/echo", "/status/500", "/redirect/4", "/loop", "/slow", "/status/404", "/gzip"):
        try:
            browser.get(f"{server.url}{path}", timeout=0.5)
        except RequestError:
            continue

    assert browser.counted.exchanges == len(server.seen) == 1 + 1 + 5 + 10 + 1 + 1 + 1
    assert (browser.counted.requests, browser.counted.failures) == (7, 4)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("GET", {"params": {"q": "red shoes"}, "headers": {"X-Shop": "north"}}),
        ("POST", {"json": {"id": 5}}),
        ("PUT", {"data": b"12345"}),
        ("POST", {"data": {"a": "b c"}}),
        ("DELETE", {}),
    ],
    ids=["query", "json", "bytes", "form", "bare"],
)
def test_bytes(browser: Browser, method: str, options: dict[str, Any]) -> None:
    """Bytes sent and received are those on the wire, heads included."""
    answer = b"HTTP/1.1 201 Created\r\nX-Id: 17\r\nSet-Cookie: a=b\r\nContent-Length: 5\r\n\r\nhello"
    with RawServer([Answer(answer, "keep")]) as server:
        browser.request(method, f"{server.url}/carts/5", **options)
        browser.request(method, f"{server.url}/carts/5", **options)

        assert browser.sample.bytes_sent == sum(map(len, server.requests))
        assert browser.sample.bytes_received == 2 * len(answer)


def test_bytes_of_a_compressed_body(browser: Browser, server: WebServer) -> None:
    """A compressed body counts as it came, and is read unpacked."""
    reply = browser.get(f"{server.url}/gzip")

    assert reply.content == b"x" * 10_000
    assert browser.sample.bytes_received < 1000


def test_requests_leave_no_warnings(loop: asyncio.AbstractEventLoop, server: WebServer) -> None:
    """Nothing of aiohttp's that is deprecated or left open shows up in the user's run."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        browser = Browser(loop, blocking=False)
        browser.get(f"{server.url}/redirect/1")
        browser.close()
        browser.close()
