"""What a node-controller answers over HTTP, to friends, to strangers and to nonsense."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping

import msgspec
import pytest

import pytest_metersphere
from pytest_metersphere.dist import bundle
from pytest_metersphere.dist.client import encode_bundle, encode_start
from pytest_metersphere.dist.node import service
from pytest_metersphere.dist.node.controller import NodeController
from pytest_metersphere.dist.wire import PROTOCOL, CheckAnswer, NodeInfo, Refusal, StartRequest
from tests.fakes.nodes import PATIENCE, TOKEN, NodeThread, bundle_of, config, scripted, start_request

AUTH = {"Authorization": f"Bearer {TOKEN}"}
JSON = AUTH | {"Content-Type": "application/json"}
ENDPOINTS = [
    ("GET", "/v1/node"),
    ("POST", "/v1/check"),
    ("POST", "/v1/slices"),
    ("GET", "/v1/slices/s1"),
    ("POST", "/v1/slices/s1/go"),
    ("POST", "/v1/slices/s1/stop"),
    ("POST", "/v1/slices/s1/lease"),
    ("GET", "/v1/slices/s1/frames"),
    ("GET", "/v1/slices/s1/log"),
    ("DELETE", "/v1/slices/s1"),
]


def refused(
    node: NodeThread, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
) -> tuple[int, Refusal]:
    """Send a request and return the status and the refusal that it is answered with."""
    status, data = node.request(method, path, body, headers)
    return status, msgspec.json.decode(data, type=Refusal)


def start_body(request: StartRequest, data: bytes = b"") -> tuple[bytes, dict[str, str]]:
    """Return a start request as it is sent, and its headers."""
    body, content_type = encode_start(request, encode_bundle(data or scripted()))
    return b"".join(body), AUTH | {"Content-Type": content_type}


def form(*parts: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """Return a multipart body of any parts, and its headers."""
    pieces = [
        f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in parts
    ]
    return b"".join(pieces) + b"--xyz--\r\n", AUTH | {"Content-Type": "multipart/form-data; boundary=xyz"}


def spoken(request: StartRequest) -> bytes:
    """Return the part `request`."""
    return msgspec.msgpack.encode(request)


def test_the_status_is_metersphere_envelope(node: NodeThread) -> None:
    """GET /status answers without a token, in the words of MeterSphere's own node-controller."""
    status, data = node.request("GET", "/status")

    assert status == 200
    assert json.loads(data) == {"success": True, "message": None, "data": "OK"}


def test_the_node_tells_what_it_is(node: NodeThread) -> None:
    """GET /v1/node answers with name, versions and free capacity."""
    status, data = node.request("GET", "/v1/node", headers=AUTH)
    info = msgspec.json.decode(data, type=NodeInfo)

    assert status == 200
    assert (info.name, info.capacity, info.free, info.workers) == ("n1", 100, 100, 2)
    assert (info.protocol, info.version, info.slices) == (PROTOCOL, pytest_metersphere.__version__, [])


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}], ids=["missing", "wrong"])
def test_every_endpoint_wants_the_token(
    node: NodeThread, method: str, path: str, headers: dict[str, str]
) -> None:
    """Without the right token nothing is answered but 401."""
    status, refusal = refused(node, method, path, headers)

    assert (status, refusal.error) == (401, "token")


@pytest.mark.parametrize(("method", "path"), [("GET", "/status"), *ENDPOINTS])
def test_no_endpoint_answers_a_web_page(node: NodeThread, method: str, path: str) -> None:
    """A request with an Origin is refused even with the token."""
    status, refusal = refused(node, method, path, JSON | {"Origin": "http://evil.example"})

    assert (status, refusal.error) == (403, "origin")


def test_a_rebound_name_is_refused(node: NodeThread) -> None:
    """On loopback the Host must be loopback's."""
    status, refusal = refused(node, "GET", "/status", {"Host": "evil.example"})

    assert (status, refusal.error) == (421, "host")


def test_a_start_without_the_token_starts_nothing(node: NodeThread) -> None:
    """A complete start request without a token, or from a page, leaves the node empty."""
    body, headers = start_body(start_request())
    without = {"Content-Type": headers["Content-Type"]}

    assert refused(node, "POST", "/v1/slices", without, body)[0] == 401
    assert refused(node, "POST", "/v1/slices", headers | {"Origin": "null"}, body)[0] == 403
    info = msgspec.json.decode(node.request("GET", "/v1/node", headers=AUTH)[1], type=NodeInfo)
    assert (info.slices, info.free) == ([], 100)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
@pytest.mark.parametrize("path", [path for method, path in ENDPOINTS if method == "POST"])
def test_a_form_of_a_web_page_is_refused(node: NodeThread, path: str, content_type: str) -> None:
    """A body must be of the one type that the endpoint takes."""
    node.request("POST", "/v1/slices", *_start())
    headers = AUTH | ({"Content-Type": content_type} if content_type else {})
    status, refusal = refused(node, "POST", path, headers, b"{}")

    assert (status, refusal.error) == (415, "request")


def _start() -> tuple[bytes, dict[str, str]]:
    return start_body(start_request())


def test_json_is_no_start_request(node: NodeThread) -> None:
    """The start request must be multipart."""
    assert refused(node, "POST", "/v1/slices", JSON, b"{}")[0] == 415


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_named(node: NodeThread, method: str) -> None:
    """What is not there is answered with 404 and a refusal that says so."""
    status, refusal = refused(node, method, "/v2/nodes", AUTH)

    assert (status, refusal.error) == (404, "unknown")
    assert "/v2/nodes" in refusal.message


def test_a_wrong_method_is_refused(node: NodeThread) -> None:
    """A path that is there, asked in another way, is 405."""
    assert refused(node, "PUT", "/v1/node", AUTH)[0] == 405


@pytest.mark.parametrize(
    ("method", "path"), [(m, p) for m, p in ENDPOINTS if p.startswith("/v1/slices/") and m != "DELETE"]
)
def test_a_slice_that_is_not_there_is_unknown(node: NodeThread, method: str, path: str) -> None:
    """Every endpoint of a slice answers 404 for one that does not exist."""
    status, refusal = refused(node, method, path, AUTH)

    assert (status, refusal.error) == (404, "unknown")
    assert "'s1'" in refusal.message


def test_deleting_what_is_not_there_is_no_error(node: NodeThread) -> None:
    """DELETE may be repeated."""
    assert node.request("DELETE", "/v1/slices/s1", headers=AUTH) == (204, b"")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"protocol": "x"}', b"[" * 100_000, b"\xff\xfe"],
    ids=["empty", "cut", "list", "null", "wrong type", "deep", "no UTF-8"],
)
def test_broken_json_is_refused_with_a_reason(node: NodeThread, body: bytes) -> None:
    """A body that is not what it should be is 400, never a traceback."""
    status, refusal = refused(node, "POST", "/v1/check", JSON, body)

    assert (status, refusal.error) == (400, "request")
    assert "no CheckRequest" in refusal.message


def test_a_large_json_body_is_refused(node: NodeThread) -> None:
    """JSON above its limit is not read."""
    status, refusal = refused(node, "POST", "/v1/check", JSON, b" " * (service.MAX_JSON + 1))

    assert (status, refusal.error) == (413, "request")


@pytest.mark.parametrize("query", ["after=x", "after=-1", "wait=nan", "wait=inf", "after=1e400", "wait="])
def test_numbers_of_a_query_are_checked(node: NodeThread, query: str) -> None:
    """What is no number from 0 is refused by its name."""
    node.request("POST", "/v1/slices", *_start())
    status, refusal = refused(node, "GET", f"/v1/slices/s1/frames?{query}", AUTH)

    assert (status, refusal.error) == (400, "request")
    assert query.partition("=")[0] in refusal.message


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [("request", spoken(start_request()))],
        [("bundle", b"zip")],
        [("request", b""), ("bundle", b"zip")],
        [("request", b"\xc1"), ("bundle", b"zip")],
        [("request", spoken(start_request())), ("bundle", b"zip"), ("bundle", b"zip")],
        [("request", spoken(start_request())), ("bundle", b"zip"), ("more", b"")],
        [("request", b"\x81\xa1x" + b"\x91" * 100_000), ("bundle", b"zip")],
    ],
    ids=["none", "no bundle", "no request", "empty", "garbage", "double", "foreign", "deep"],
)
def test_a_start_request_must_be_whole(node: NodeThread, parts: list[tuple[str, bytes]]) -> None:
    """Missing, double, foreign and broken parts are refused."""
    body, headers = form(*parts)
    status, refusal = refused(node, "POST", "/v1/slices", headers, body)

    assert (status, refusal.error) == (400, "request")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--xyz--"),
        ("multipart/form-data; boundary=xyz", b"no boundary in here"),
        ("multipart/form-data; boundary=xyz", b"--xyz\r\nno header\r\n\r\n\r\n--xyz--"),
        (
            "multipart/form-data; boundary=xyz",
            b'--xyz\r\nContent-Disposition: form-data; name="request"\r\n\r\n',
        ),
        (
            "multipart/form-data; boundary=xyz",
            b"--xyz\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n--xyz--",
        ),
        (f"multipart/form-data; boundary={'x' * 500}", b"--xyz--"),
    ],
    ids=["no boundary", "not the boundary", "no header", "no end", "nested", "long boundary"],
)
def test_a_broken_multipart_body_is_refused(node: NodeThread, content_type: str, body: bytes) -> None:
    """Whatever is wrong with the framing, the answer is 400."""
    headers = AUTH | {"Content-Type": content_type}

    assert refused(node, "POST", "/v1/slices", headers, body)[0] == 400


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"slice": "../s1"}, "slice must be"),
        ({"slice": ""}, "slice must be"),
        ({"slice": "s" * 65}, "slice must be"),
        ({"slice": "s1\n"}, "slice must be"),
        ({"run": ""}, "run must be"),
        ({"users": 0}, "users must be 1 or more"),
        ({"users": 3}, "a part has 4"),
        ({"parts": []}, "parts must not be empty"),
        ({"lease": 0.0}, "lease must be"),
        ({"lease": float("nan")}, "lease must be"),
        ({"lease": float("inf")}, "lease must be"),
        ({"key": b""}, "key must be 32 bytes"),
        ({"key": bytes(33)}, "key must be 32 bytes"),
    ],
)
def test_an_unsound_start_request_is_refused(
    node: NodeThread, change: dict[str, object], reason: str
) -> None:
    """What the types cannot say is checked, and named."""
    body, headers = start_body(msgspec.structs.replace(start_request(), **change))
    status, refusal = refused(node, "POST", "/v1/slices", headers, body)

    assert (status, refusal.error) == (400, "request")
    assert reason in refusal.message


@pytest.mark.parametrize("root", ["", ".", "..", "a/b", "/tmp", "a\\b", "a\0b", "x" * 300])  # noqa: S108
def test_the_root_must_be_a_plain_name(node: NodeThread, root: str) -> None:
    """The folder's name cannot lead out of the slice's own folder."""
    request = start_request()
    collection = msgspec.structs.replace(request.collection, root=root)
    body, headers = start_body(msgspec.structs.replace(request, collection=collection))
    status, refusal = refused(node, "POST", "/v1/slices", headers, body)

    assert (status, refusal.error) == (400, "request")
    assert "collection.root" in refusal.message


@pytest.mark.parametrize("change", [{"protocol": PROTOCOL + 1}, {"version": "0.0.1"}])
def test_another_version_is_refused_with_both_named(node: NodeThread, change: dict[str, object]) -> None:
    """Start requests of another version are refused before anything else in them is read."""
    request = msgspec.structs.replace(start_request(), **change)
    fields = msgspec.to_builtins(request)
    del fields["collection"]
    body, headers = form(("request", msgspec.msgpack.encode(fields)), ("bundle", b""))
    status, refusal = refused(node, "POST", "/v1/slices", headers, body)

    assert (status, refusal.error) == (409, "version")
    assert request.version in refusal.message
    assert pytest_metersphere.__version__ in refusal.message


def test_an_unsafe_bundle_is_refused_and_leaves_nothing(node: NodeThread) -> None:
    """A bundle with a path that leads out is refused, and its capacity is free again."""
    body, headers = start_body(start_request(), bundle_of({"../../evil.py": b""}))
    status, refusal = refused(node, "POST", "/v1/slices", headers, body)

    assert (status, refusal.error) == (400, "bundle")
    assert "'../../evil.py'" in refusal.message
    info = msgspec.json.decode(node.request("GET", "/v1/node", headers=AUTH)[1], type=NodeInfo)
    assert (info.free, info.slices) == (100, [])


def test_a_body_that_says_it_is_too_large_is_refused_unread(node: NodeThread) -> None:
    """The announced length is enough to refuse a start request."""
    body, headers = start_body(start_request())
    length = str(bundle.MAX_BUNDLE + service.MAX_REQUEST + (1 << 20))
    status, refusal = refused(node, "POST", "/v1/slices", headers | {"Content-Length": length}, body)

    assert (status, refusal.error) == (413, "request")


@pytest.mark.parametrize(("name", "limit"), [("request", 1000), ("bundle", 2000)])
def test_the_parts_are_measured(
    node: NodeThread, monkeypatch: pytest.MonkeyPatch, name: str, limit: int
) -> None:
    """A part above its limit is refused, whatever its length was said to be."""
    monkeypatch.setitem(service._PART_LIMITS, name, limit)
    body, headers = form((name, bytes(limit + 1)), ("other", b""))
    status, refusal = refused(node, "POST", "/v1/slices", headers, body)

    assert (status, refusal.error) == (413, "request")
    assert refusal.message.startswith(f"the {name} is larger than")


def check(node: NodeThread, users: int, version: str = pytest_metersphere.__version__) -> CheckAnswer:
    """Ask the node whether it could take so many users."""
    body = json.dumps({"protocol": PROTOCOL, "version": version, "users": users}).encode()
    status, data = node.request("POST", "/v1/check", body, JSON)
    assert status == 200
    return msgspec.json.decode(data, type=CheckAnswer)


def test_a_check_that_holds(node: NodeThread) -> None:
    """Every finding holds, says what was found, and needs no hint."""
    checks = check(node, 100).checks

    assert [finding.name for finding in checks] == ["protocol", "version", "capacity", "slices", "folder"]
    assert all(finding.ok and finding.detail and not finding.hint for finding in checks)


def test_a_check_names_versions_and_numbers(node: NodeThread) -> None:
    """What does not hold says what is there, what was wanted, and what to do."""
    failed = {finding.name: finding for finding in check(node, 101, "0.0.1").checks if not finding.ok}

    assert sorted(failed) == ["capacity", "version"]
    assert "0.0.1" in failed["version"].detail
    assert pytest_metersphere.__version__ in failed["version"].detail
    assert failed["capacity"].detail == "101 users asked for, 100 of 100 are free"
    assert all(finding.hint for finding in failed.values())


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    ],
    ids=["ssh", "another version", "tls", "long line", "negative length"],
)
def test_what_is_not_http_does_no_harm(
    node: NodeThread, caplog: pytest.LogCaptureFixture, garbage: bytes
) -> None:
    """Garbage on the port is turned away without a word in the log, and the node goes on."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE) as sock:
        sock.sendall(garbage)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass

    assert node.request("GET", "/status")[0] == 200
    assert [record.message for record in caplog.records if record.levelname != "DEBUG"] == []


def test_a_failure_of_the_node_itself_is_an_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect of ours is logged on the node, and the caller gets 500 with no traceback in it."""
    monkeypatch.setattr(NodeController, "info", lambda _self: 1 / 0)
    with NodeThread(config()) as node:
        status, refusal = refused(node, "GET", "/v1/node", AUTH)

    assert (status, refusal.error) == (500, "internal")
    assert "ZeroDivisionError" not in refusal.message
    assert "ZeroDivisionError" in caplog.text
