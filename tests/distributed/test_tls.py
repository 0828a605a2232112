"""Nodes over TLS: who proves what, and what is said when the two sides do not agree."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from pytest_metersphere.dist import reasons
from pytest_metersphere.dist.client import NodeClient
from pytest_metersphere.dist.fleet import Fleet, require_certificates
from pytest_metersphere.dist.node.config import tls_context
from pytest_metersphere.dist.pool import parse_pool
from pytest_metersphere.errors import ConfigError, NodeError
from tests.fakes.certificates import Authority
from tests.fakes.nodes import PATIENCE, TOKEN, NodeThread, all_frames, running, scripted
from tests.fakes.worker import Script


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an authority that signs the certificates of this test."""
    return Authority(tmp_path)


def complaint(url: str, cafile: str | None) -> str:
    """Return what the client says about a node."""
    with NodeClient("n1", url, TOKEN, cafile) as client, pytest.raises(NodeError) as caught:
        client.info()
    return str(caught.value)


def test_a_run_over_tls(authority: Authority) -> None:
    """Start, go and frames work as without it."""
    with authority.node("127.0.0.1") as node, node.client() as client:
        assert node.url.startswith("https://")
        running(client, scripted(Script()))

        assert [frame.sequence for frame in all_frames(client)] == [1]


def test_a_certificate_of_somebody_else_is_refused(authority: Authority, tmp_path: Path) -> None:
    """The file, the reason and what to do are named; the token is not sent."""
    stranger = Authority(tmp_path, "stranger")
    with authority.node("127.0.0.1") as node:
        text = complaint(node.url, stranger.cafile)

    assert f"the certificate of {node.url} is not vouched for by {stranger.cafile}: " in text
    assert "put the certificate that signed it into that file" in text


def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    """That is told from an unknown authority."""
    with authority.node("another.example") as node:
        text = complaint(node.url, node.cafile)

    assert "mismatch" in text
    assert text.endswith("name the node in the pool as its certificate does")


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    """And said to be expired."""
    with authority.node("127.0.0.1", expired=True) as node:
        assert "has expired" in complaint(node.url, node.cafile)


def test_http_to_a_node_with_tls_is_told(authority: Authority) -> None:
    """The variable to set is named."""
    with authority.node("127.0.0.1") as node:
        url = node.url.replace("https", "http")
        text = complaint(url, None)

    assert text == (
        f"node n1: {url} speaks TLS: set PYTEST_MS_NODE_CAFILE (or ini ms_node_cafile) to the certificate"
        " that vouches for the node's"
    )


def test_tls_to_a_node_without_is_told(node: NodeThread, authority: Authority) -> None:
    """Both ways out are named."""
    url = node.url.replace("http", "https")
    text = complaint(url, authority.cafile)

    assert text.startswith(
        f"node n1: {url} does not speak TLS: start the node with --tls-cert and --tls-key, or"
    )
    assert "unset PYTEST_MS_NODE_CAFILE" in text


def test_a_port_that_is_silent_to_tls_is_given_up(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handshake has a limit, too."""
    monkeypatch.setattr("pytest_metersphere.dist.client.CONNECT_LIMIT", 0.2)
    monkeypatch.setattr("pytest_metersphere.dist.client.READ_LIMIT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = complaint(f"https://127.0.0.1:{silent.getsockname()[1]}", authority.cafile)

    assert "gave no answer to TLS" in text


def test_what_hangs_up_without_speaking_tls_is_not_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a port that shakes hands is told to be one with TLS."""
    monkeypatch.setattr(reasons, "PROBE_LIMIT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not reasons.speaks_tls(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert not reasons.speaks_tls("http://")


def test_a_connection_that_is_reset_leaves_no_socket_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is over before the first word of TLS: the answer is no, and the socket is closed."""
    connect = socket.create_connection
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset(address: tuple[str, int], timeout: float) -> socket.socket:
            sock = connect(address, timeout)
            other, _ = server.accept()
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            other.close()
            return sock

        monkeypatch.setattr(socket, "create_connection", reset)
        assert not reasons.speaks_tls(f"http://127.0.0.1:{server.getsockname()[1]}")
    gc.collect()  # an open one would warn now, and fail the test


def test_the_system_does_not_vouch_for_nodes(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the file counts: neither certificates of the system nor variables of other tools."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority.cafile)
    monkeypatch.setenv("SSL_CERT_FILE", authority.cafile)
    with authority.node("127.0.0.1") as node:
        assert "is not vouched for" in complaint(node.url, None)


def test_a_pool_with_certificates_is_spoken_to_over_tls(authority: Authority) -> None:
    """All nodes but local ones, which nobody else can reach."""
    with authority.node("127.0.0.1") as node:
        fleet = Fleet(parse_pool(f"far@{node.address}=50,local=3", {}), TOKEN, authority.cafile)
        try:
            assert [each.url.partition(":")[0] for each in fleet.nodes] == ["https", "http"]
            assert fleet.free_capacities() == [50, 3]
        finally:
            fleet.close()


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\x00\xff" * 100])
def test_a_file_without_certificates_is_told(tmp_path: Path, content: bytes) -> None:
    """Before anything is sent, with where the file was named."""
    file = tmp_path / "ca.pem"
    file.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        require_certificates(str(file), "PYTEST_MS_NODE_CAFILE")
    assert str(caught.value).startswith(
        f"PYTEST_MS_NODE_CAFILE: {str(file)!r} holds no certificates in PEM form"
    )


def test_a_file_of_certificates_is_accepted(authority: Authority) -> None:
    """One that holds what it should."""
    require_certificates(authority.cafile, "ini ms_node_cafile")


@pytest.fixture
def command() -> Iterator[list[subprocess.Popen[str]]]:
    """Return a list for processes that are to be gone afterwards."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def node_command(*arguments: str) -> subprocess.Popen[str]:
    """Start the command `node` on a free port."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest_metersphere", "node", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=kept | {"PYTEST_MS_TOKEN": TOKEN},
    )


def test_the_command_speaks_tls(authority: Authority, command: list[subprocess.Popen[str]]) -> None:
    """With a certificate and its key it says https, answers there, and warns of nothing."""
    cert, key = authority.certificate("localhost", "127.0.0.1")
    process = node_command("--host", "0.0.0.0", "--tls-cert", str(cert), "--tls-key", str(key))  # noqa: S104
    command.append(process)
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1].replace("0.0.0.0", "localhost")  # noqa: S104
    with NodeClient("n1", url, TOKEN, authority.cafile) as client:
        name = client.info().name
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE)

    assert url.startswith("https://localhost:")
    assert name
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tls-cert", "CERT"], "--tls-cert needs --tls-key beside it"),
        (["--tls-key", "KEY"], "--tls-key needs --tls-cert beside it"),
        (
            ["--tls-cert", "/nonexistent", "--tls-key", "KEY"],
            "--tls-cert: '/nonexistent' cannot be read: No such",
        ),
        (["--tls-cert", "CERT", "--tls-key", "CERT"], "are no certificate with its key"),
        (["--tls-cert", "CERT", "--tls-key", "OTHER"], "are no certificate with its key"),
        (["--tls-cert", "KEY", "--tls-key", "KEY"], "are no certificate with its key"),
        (["--tls-cert", "CERT", "--tls-key", "LOCKED"], "--tls-key: the key is encrypted"),
    ],
    ids=[
        "no key",
        "no certificate",
        "no file",
        "no key in it",
        "another key",
        "no certificate in it",
        "encrypted",
    ],
)
def test_bad_certificates_are_explained(authority: Authority, arguments: list[str], words: str) -> None:
    """One line names the option and what is wrong; nobody is asked for a password."""
    cert, key = authority.certificate("localhost")
    _, other = authority.certificate("other")
    locked = key.with_suffix(".locked")
    plain = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        plain.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    files = {"CERT": cert, "KEY": key, "OTHER": other, "LOCKED": locked}
    process = node_command(*(str(files.get(argument, argument)) for argument in arguments))
    _, errors = process.communicate(timeout=PATIENCE)

    assert process.returncode == 2
    assert errors.startswith("pytest-metersphere node: error: ")
    assert words in errors
    assert errors.count("\n") == 1


def test_a_stranger_without_tls_does_no_harm(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    """Garbage where a handshake should be is turned away, and the node goes on."""
    with authority.node("127.0.0.1") as node:
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff", b""):
            with socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE) as sock:
                sock.sendall(garbage)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
        with node.client() as client:
            assert client.info().name == "n1"

    assert [record.message for record in caplog.records if record.levelname != "DEBUG"] == []


def test_old_versions_of_tls_are_refused(authority: Authority) -> None:
    """TLS 1.2 is the least."""
    context = tls_context(*authority.certificate("127.0.0.1"))

    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_the_announcement_for_programs_is_as_without_tls(
    authority: Authority, command: list[subprocess.Popen[str]]
) -> None:
    """One line of JSON with the port."""
    cert, key = authority.certificate("localhost")
    process = node_command("--announce=json", "--tls-cert", str(cert), "--tls-key", str(key))
    command.append(process)
    assert process.stdout is not None

    assert json.loads(process.stdout.readline())["port"] > 0
