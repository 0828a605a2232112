"""How to reach Kafka, from what was written to what clients need; mistakes are told with their place."""

from __future__ import annotations

import ssl
from pathlib import Path

import msgspec
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from pytest_metersphere.dist.kafka.brokers import parse_servers, read_access, split_address, tls_context
from pytest_metersphere.dist.wire import KafkaAccess
from pytest_metersphere.errors import ConfigError
from pytest_metersphere.settings import KafkaSettings, Secret

PASSWORD = "correct horse battery staple"
LOGIN = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "alice"}


def settings(password: str = "", **changes: str) -> KafkaSettings:
    """Return settings for one server, with these changes."""
    plain = KafkaSettings(
        text="kafka:9092", source="--ms-kafka", password=Secret(password) if password else None
    )
    return msgspec.structs.replace(plain, **changes)


def complaint(password: str = "", **changes: str) -> str:
    """Return what is said about settings that are refused."""
    with pytest.raises(ConfigError) as caught:
        read_access(settings(password, **changes))
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return an authority for certificates."""
    return trustme.CA()


def test_servers_alone_are_plain_access() -> None:
    """Without variables the client speaks without TLS and does not log in."""
    assert read_access(settings()) == KafkaAccess(servers=("kafka:9092",))


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("a:1,b:2", ("a:1", "b:2")),
        (" a:1 ,, b:2\tc:3 ", ("a:1", "b:2", "c:3")),
        ("a:1,a:1", ("a:1",)),
        ("10.0.0.5:9092", ("10.0.0.5:9092",)),
        ("[FD00:0::5]:9092", ("[fd00::5]:9092",)),
        ("kafka_1.load.svc.cluster.local.:65535", ("kafka_1.load.svc.cluster.local.:65535",)),
    ],
)
def test_servers(text: str, servers: tuple[str, ...]) -> None:
    """Commas and spaces separate, what is there twice is there once, IPv6 stands in brackets."""
    assert parse_servers(text, "--ms-kafka") == servers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" , ", "there is no server"),
        ("kafka", "has no port, write for example kafka:9092"),
        ("[fd00::5]", "has no port"),
        ("kafka:", "'' is not a port"),
        ("kafka:0", "'0' is not a port"),
        ("kafka:65536", "'65536' is not a port"),
        ("kafka:\uff19092", "is not a port"),
        (":9092", "'' is not a host"),
        ("ka fka:9092", "'ka' has no port"),
        ("ka/fka:9092", "'ka/fka' is not a host"),
        ("-kafka:9092", "'-kafka' is not a host"),
        ("a..b:9092", "'a..b' is not a host"),
        ("10.0.0.256:9092", "'10.0.0.256' is not an IP address"),
        ("[kafka]:9092", "'[kafka]' is not an IP address"),
        ("fd00::5:9092", "an IPv6 address stands in brackets"),
        ("SASL_SSL://kafka:9092", "a server has no scheme"),
        ("alice:secret@kafka:9092", "an IPv6 address stands in brackets"),
        ("alice@kafka:9092", "'alice@kafka' is not a host"),
    ],
)
def test_texts_that_are_no_servers(text: str, words: str) -> None:
    """The message names the option and the piece, and says what is right."""
    with pytest.raises(ConfigError) as caught:
        parse_servers(text, "--ms-kafka")

    assert str(caught.value).startswith("--ms-kafka: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(("server", "pair"), [("a:1", ("a", 1)), ("[::1]:9", ("::1", 9))])
def test_a_server_is_a_host_and_a_port(server: str, pair: tuple[str, int]) -> None:
    """Sockets want IPv6 addresses without brackets."""
    assert split_address(server) == pair


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "scram-sha-512"])
@pytest.mark.parametrize("protocol", ["SASL_SSL", "sasl_plaintext"])
def test_a_login(protocol: str, mechanism: str) -> None:
    """Protocol and mechanism are understood in capitals or not."""
    written = settings(PASSWORD, security_protocol=protocol, sasl_mechanism=mechanism, username="alice")
    access = read_access(written)

    assert (access.security_protocol, access.sasl_mechanism) == (protocol.upper(), mechanism.upper())
    assert (access.username, access.password) == ("alice", PASSWORD)
    assert (access.sasl, access.tls) == (True, protocol == "SASL_SSL")


@pytest.mark.parametrize(
    ("password", "changes", "words"),
    [
        ("", {"security_protocol": "TLS"}, "SECURITY_PROTOCOL: 'TLS' is none of PLAINTEXT, SSL"),
        ("", {"security_protocol": "SASL_SLL"}, "did you mean 'SASL_SSL'?"),
        (PASSWORD, {"username": "alice"}, "set without PYTEST_MS_KAFKA_SECURITY_PROTOCOL"),
        ("", {"cafile": "ca.pem"}, "set without PYTEST_MS_KAFKA_SECURITY_PROTOCOL"),
        (PASSWORD, {**LOGIN, "security_protocol": "SSL"}, "SSL does not log in"),
        (PASSWORD, {**LOGIN, "username": ""}, "set PYTEST_MS_KAFKA_USERNAME, too"),
        ("", LOGIN, "set PYTEST_MS_KAFKA_PASSWORD, too"),
        (PASSWORD, {**LOGIN, "sasl_mechanism": ""}, "SASL_MECHANISM is not set"),
        (PASSWORD, {**LOGIN, "sasl_mechanism": "GSSAPI"}, "'GSSAPI' is none of PLAIN, SCRAM-SHA-256"),
        (PASSWORD, {**LOGIN, "security_protocol": "SASL_PLAINTEXT", "cafile": "x"}, "does not encrypt"),
        ("", {"prefix": "a/b", "prefix_source": "ini ms_kafka_prefix"}, "ini ms_kafka_prefix: 'a/b'"),
        ("", {"prefix": "x" * 201, "prefix_source": "ini ms_kafka_prefix"}, "200 at most"),
    ],
)
def test_settings_that_contradict_each_other(password: str, changes: dict[str, str], words: str) -> None:
    """What is missing or wrong is told by the variable's name; nothing is guessed about secrets."""
    assert words in complaint(password, **changes)


def test_certificates_travel_by_their_content(authority: trustme.CA, tmp_path: Path) -> None:
    """Files are read where pytest runs, so that nodes need none."""
    certificate = authority.issue_cert("client")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    files = {
        name: str(tmp_path / f"{name.removesuffix('file')}.pem") for name in ("cafile", "certfile", "keyfile")
    }
    access = read_access(settings(security_protocol="SSL", **files))

    assert access.ca == authority.cert_pem.bytes().decode()
    assert access.certificate == certificate.cert_chain_pems[0].bytes().decode()
    assert access.key == certificate.private_key_pem.bytes().decode()
    context = tls_context(access)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_certificate_may_come_with_its_key(authority: trustme.CA, tmp_path: Path) -> None:
    """One file with both is enough."""
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")

    access = read_access(settings(security_protocol="SSL", certfile=str(tmp_path / "both.pem")))
    assert access.key == ""


@pytest.mark.parametrize("name", ["cafile", "certfile", "keyfile"])
@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), (b"\xff\xfe", "is no PEM file"), (b"hello", "is no PEM file")],
)
def test_files_that_cannot_be_used(name: str, content: bytes | None, words: str, tmp_path: Path) -> None:
    """The message names the variable and the file."""
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_bytes(content)
    told = complaint(security_protocol="SSL", **{name: str(file)})

    assert told.startswith(f"PYTEST_MS_KAFKA_{name.upper()}: {str(file)!r}")
    assert words in told


def test_a_file_that_is_huge_is_not_read(tmp_path: Path) -> None:
    """A wrong path does not fill the memory."""
    (tmp_path / "huge").write_bytes(b"-----BEGIN " + bytes(1 << 20))

    assert "is no PEM file" in complaint(security_protocol="SSL", cafile=str(tmp_path / "huge"))


def test_pem_that_is_no_certificate(tmp_path: Path) -> None:
    """A file that only looks like one is told before anything is connected."""
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")

    assert "CAFILE: the file holds no certificate" in complaint(
        security_protocol="SSL", cafile=str(tmp_path / "ca.pem")
    )


def test_a_certificate_without_its_key(authority: trustme.CA, tmp_path: Path) -> None:
    """A key that is missing, encrypted or another's is told, and nobody is asked for a password."""
    certificate, other = authority.issue_cert("client"), authority.issue_cert("other")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    other.private_key_pem.write_to_path(tmp_path / "other.pem")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"locked"),
    )
    (tmp_path / "locked.pem").write_bytes(locked)
    given = {"security_protocol": "SSL", "certfile": str(tmp_path / "cert.pem")}

    for keyfile in ("", str(tmp_path / "other.pem"), str(tmp_path / "locked.pem")):
        assert "CERTFILE and PYTEST_MS_KAFKA_KEYFILE" in complaint(**given, keyfile=keyfile)
    assert "KEYFILE is set without" in complaint(security_protocol="SSL", keyfile=str(tmp_path / "other.pem"))


def test_access_shows_no_secret() -> None:
    """Neither its repr nor that of what it is part of holds password, certificate or key."""
    access = KafkaAccess(servers=("a:1",), username="alice", password=PASSWORD, certificate="C1", key="K1")

    for shown in (repr(access), str(access), f"{[access]}", repr(access.__rich_repr__())):
        assert "alice" in shown
        assert PASSWORD not in shown
        assert "C1" not in shown
        assert "K1" not in shown


def test_access_travels() -> None:
    """What a node gets is what the controller has."""
    access = KafkaAccess(
        servers=("a:1", "b:2"), security_protocol="SASL_SSL", sasl_mechanism="PLAIN", ca="PEM"
    )

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(access), type=KafkaAccess) == access
