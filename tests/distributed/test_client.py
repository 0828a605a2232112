"""The client of a node says in words why something did not work."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator

import msgspec
import pytest

import pytest_metersphere
from pytest_metersphere.dist import client as client_module
from pytest_metersphere.dist.client import NodeClient, encode_bundle, encode_start
from pytest_metersphere.dist.wire import PROTOCOL, CheckRequest, StartRequest
from pytest_metersphere.errors import CapacityError, NodeError
from tests.fakes.nodes import (
    PATIENCE,
    TOKEN,
    NodeThread,
    bundle_of,
    free_port,
    running,
    scripted,
    start_request,
    when,
)
from tests.fakes.stock import StockController
from tests.fakes.worker import Script


@contextlib.contextmanager
def listener(answer: bytes) -> Iterator[str]:
    """Run something that takes one request at a time and answers always the same bytes; give its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)


def http(status: str, kind: str, body: bytes, more: str = "") -> bytes:
    """Return a whole HTTP answer."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    )
    return (head + more + "\r\n").encode() + body


def complaint(url: str, name: str = "n1") -> NodeError:
    """Return the error of asking the node at a URL what it is."""
    with NodeClient(name, url, TOKEN) as client, pytest.raises(NodeError) as caught:
        client.info()
    return caught.value


def test_what_a_node_answers_becomes_values(client: NodeClient) -> None:
    """Status, information and checks come back as the wire's own types."""
    client.status()
    checks = client.check(
        CheckRequest(protocol=PROTOCOL, version=pytest_metersphere.__version__, users=5)
    ).checks

    assert client.info().name == "n1"
    assert [check.name for check in checks if not check.ok] == []


def test_nobody_listens() -> None:
    """A refused connection names the address and the command that is missing there."""
    port = free_port()
    error = complaint(f"http://127.0.0.1:{port}")

    assert str(error) == (
        f"node n1: http://127.0.0.1:{port} refused the connection: start `pytest-metersphere node` there"
    )
    assert (error.node, error.status) == ("n1", None)


def test_the_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve is told from a machine that does not answer."""

    def fail(*_arguments: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    assert "the name in http://nowhere.invalid:8082 cannot be resolved" in str(
        complaint("http://nowhere.invalid:8082")
    )


def test_nobody_answers_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that drops packets is given up after the connect limit."""
    monkeypatch.setattr(client_module, "CONNECT_LIMIT", 0.2)
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(full.getsockname())
        error = complaint(f"http://127.0.0.1:{full.getsockname()[1]}")

    assert "does not answer within 200 ms, as if a firewall dropped the packets; check" in str(error)


def test_nobody_answers_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that takes the request and stays silent is given up after the read limit."""
    monkeypatch.setattr(client_module, "READ_LIMIT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = complaint(f"http://127.0.0.1:{silent.getsockname()[1]}")

    assert "gave no answer within 200 ms" in str(error)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http("200 OK", "text/html", b"<h1>It works!</h1>"), "answered /v1/node with b'<h1>It works!</h1>'"),
        (http("404 Not Found", "text/html", b"<h1>No</h1>"), "answered /v1/node with HTTP 404 (text/html)"),
        (http("503 Busy", "text/plain", b""), "answered /v1/node with HTTP 503 (text/plain)"),
        (http("302 Found", "text/html", b"", "Location: http://127.0.0.1:1/\r\n"), "with HTTP 302"),
        (http("200 OK", "application/json", b'{"name": 5}'), "answered /v1/node with b'{"),
        (http("200 OK", "application/json", b"[" * 100_000), "answered /v1/node with b'[["),
    ],
    ids=["page", "not found", "busy", "elsewhere", "other JSON", "deep JSON"],
)
def test_something_else_answers(answer: bytes, said: str) -> None:
    """An HTTP server of another kind is told from a node, with what it said."""
    with listener(answer) as url:
        error = complaint(url)

    assert f"what listens on {url} is no node-controller of pytest-metersphere" in str(error)
    assert said in str(error)


def test_a_stock_node_controller_is_recognised() -> None:
    """MeterSphere's own node-controller is called by its name, and the message says what it needs."""
    with StockController() as stock:
        error = complaint(stock.url)

    assert str(error) == (
        f"node n1: a stock MeterSphere node-controller listens on {stock.url}: load on it needs its capacity"
        " in the pool, Kafka (--ms-kafka) and the image to run there (ini ms_runner_image)"
    )
    assert error.status == 404


def test_another_spring_application_is_no_stock_node_controller() -> None:
    """Spring's words for an unknown path do not make a node-controller: its /status must be there, too."""
    with StockController(status=False) as stock:
        error = complaint(stock.url)

    assert f"what listens on {stock.url} is no node-controller of pytest-metersphere" in str(error)
    assert "answered /v1/node with HTTP 404 (application/json)" in str(error)


def test_a_node_of_a_later_version_is_named_with_both_versions() -> None:
    """Even one whose answers have changed says who it is, and that is told instead of a decoding error."""
    later = b'{"protocol": 99, "version": "9.9", "capacities": [1, 2]}'
    with listener(http("200 OK", "application/json", later)) as url:
        text = str(complaint(url))

    assert text.startswith("node n1: the node has version 9.9 (protocol 99), the controller ")
    assert f"{pytest_metersphere.__version__} (protocol {PROTOCOL})" in text


def test_the_status_of_a_stock_node_controller_is_understood() -> None:
    """The envelope of /status is MeterSphere's, so both kinds pass; one that is not well does not."""
    with (
        listener(http("200 OK", "text/plain", b'{"success":true,"message":null,"data":"OK"}')) as url,
        NodeClient("n1", url, TOKEN) as client,
    ):
        client.status()
    with (
        listener(http("200 OK", "text/plain", b'{"success":false,"message":"no","data":""}')) as url,
        NodeClient("n1", url, TOKEN) as client,
        pytest.raises(NodeError, match="not well"),
    ):
        client.status()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "an ssh server listens on {url}, no node-controller; "),
        (b"220 mail\r\n", "something that answers '220 mail' listens on {url}, no node-controller; "),
        (b"", "{url} hung up before its answer was complete; "),
    ],
    ids=["ssh", "mail", "nothing"],
)
def test_what_listens_does_not_speak_http(answer: bytes, said: str) -> None:
    """A banner of another protocol, or a closed connection, is an error with the node's name."""
    with listener(answer) as url:
        error = complaint(url)

    assert str(error).startswith(f"node n1: {said.format(url=url)}")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:8082", "http://"])
def test_what_is_no_url_is_an_error(url: str) -> None:
    """Even a URL that cannot be is a NodeError."""
    assert str(complaint(url)).startswith("node n1: ")


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than any answer of ours is not read to its end."""
    monkeypatch.setattr(client_module, "MAX_ANSWER", 1000)
    with listener(http("200 OK", "application/json", bytes(2000))) as url:
        error = complaint(url)

    assert "larger than 1000 B" in str(error)


def test_a_wrong_token_says_what_to_set(node: NodeThread) -> None:
    """The answer to a wrong token names the variable, and no token."""
    with NodeClient("n1", node.url, "wrong-token") as client, pytest.raises(NodeError) as caught:
        client.info()

    assert caught.value.status == 401
    assert "does not accept the token: set PYTEST_MS_TOKEN" in str(caught.value)
    assert "wrong-token" not in str(caught.value)


def test_missing_capacity_is_an_error_of_its_own(client: NodeClient) -> None:
    """What the node lacks is told in numbers, as a CapacityError."""
    with pytest.raises(CapacityError, match="node n1: 101 users asked for, 100 of 100 are free"):
        client.start(start_request(users=101), scripted())


def test_proxies_and_netrc_do_not_interfere(
    node: NodeThread, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Neither HTTP_PROXY nor a ~/.netrc entry reaches control requests."""
    home = tmp_path_factory.mktemp("home")
    (home / ".netrc").write_text("machine 127.0.0.1 login me password other\n")
    (home / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("http_proxy", os.environ["HTTP_PROXY"])
    with node.client() as client:
        name = client.info().name

    assert name == "n1"


def test_an_encoded_bundle_serves_several_starts(client: NodeClient) -> None:
    """The bundle's bytes are encoded once and shared by the bodies for all nodes."""
    data = bundle_of({"script": msgspec.msgpack.encode(Script()), "data.bin": os.urandom(3 << 20)})
    encoded = encode_bundle(data)
    bodies = [encode_start(start_request(name), encoded)[0] for name in ("a", "b")]

    assert bodies[0].tail is bodies[1].tail
    assert [len(body) for body in bodies] == [len(b"".join(body)) for body in bodies]
    for name in ("a", "b"):
        client.start(start_request(name), encoded)
    assert when(client, "ready", "a").state == when(client, "ready", "b").state


def test_an_unreachable_node_fails_a_large_start_too(node: NodeThread) -> None:
    """A body that is refused while it is being sent still gives the reason."""
    with NodeClient("n1", node.url, "wrong-token") as client, pytest.raises(NodeError) as caught:
        client.start(start_request(), os.urandom(20 << 20))

    assert caught.value.status == 401


def test_a_whole_run(client: NodeClient) -> None:
    """Start, go, frames, log, stop, lease and delete work together."""
    request: StartRequest = start_request()
    running(client, scripted(Script(ends=False, beats=True)), request)
    batch = client.frames(request.slice, 0, 10)

    assert batch.last_sequence == 1
    assert client.lease(request.slice).state == "running"
    assert "worker 0 of n1" in client.log(request.slice)
    client.stop(request.slice, grace=1.0)
    assert when(client, "ended").manifest is not None
    client.delete(request.slice)
    assert client.info().slices == []


def test_threads_may_decode_the_first_answers_at_once() -> None:
    """In fresh processes, where no type was decoded before: none of them crashes."""
    script = """
        import concurrent.futures, sys
        import msgspec
        from pytest_metersphere.dist import client, wire

        sys.setswitchinterval(1e-6)
        manifest = wire.Manifest(slice="s", incarnation=1, last_sequence=1, ended_at=1.0)
        info = wire.SliceInfo(
            slice="s", run="r", incarnation=1, state="ready", users=1, workers=[1], manifest=manifest
        )
        answer = msgspec.json.encode(info)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for read in pool.map(lambda _: msgspec.json.decode(answer, type=wire.SliceInfo), range(1000)):
                assert read == info
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]

    codes = [subprocess.run(command, check=False, timeout=PATIENCE).returncode for _ in range(8)]

    assert codes == [0] * 8
